"""A Pipeline of scikit-learn on a DataFrame with numbers and strings."""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

rng = np.random.default_rng(0)
frame = pd.DataFrame(rng.normal(size=(900, 2)), columns=["px", "py"])
frame["kind"] = rng.choice(["car", "bus"], size=len(frame))
far = np.where(np.hypot(frame["px"], frame["py"]) > 1.2, "far", "near")
encoded = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
pipeline = make_pipeline(encoded, HistGradientBoostingClassifier()).fit(frame[:600], far[:600])

# ---- equiprob ----
import equiprob as ep

model = ep.adapters.from_dataframe(pipeline, frame[600:], columns={"xy": ["px", "py"]})
orbits = model.orbits(ep.transforms.rotations2d(acts_on=model.acts_on(xy="vectors")))
result = ep.ModelEquivarianceError().fit(orbits)
result.plot().savefig("figure.png")
