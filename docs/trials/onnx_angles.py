"""The classifier of angles in the wheel rapidocr-onnxruntime: upside down, its classes swap."""

from pathlib import Path

import numpy as np
import rapidocr_onnxruntime
from PIL import Image, ImageDraw

wheel = Path(rapidocr_onnxruntime.__file__).parent
file = wheel / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"
lines = []
for i in range(60):
    line = Image.new("RGB", (192, 48), "white")
    ImageDraw.Draw(line).text((6, 8), f"Line {i} of text", fill="black", font_size=26)
    lines.append(np.asarray(line).transpose(2, 0, 1) / 127.5 - 1)
x = np.stack(lines).astype(np.float32)

# ---- equiprob ----
import equiprob as ep

swap = ep.transforms.by_element([[0, 1], [1, 0]])  # the half turn exchanges 0 and 180 degrees
halves = ep.transforms.cyclic(2, acts_on="image_channels_first", output_action=swap)
orbits = ep.evaluate_orbits(ep.adapters.from_onnx(file), x, halves)
ep.ModelEquivarianceError().fit(orbits).plot().savefig("figure.png")
