"""What do the layers of a PyTorch module answer, on the way to its output?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from equiprob.arguments.tensors import is_torch
from equiprob.orbits.output import DEFAULT_OUTPUT

_ALONE = threading.Lock()
"""Hooks are the module's: threads that share it would read each other's."""

_MOST_NAMED = 20


@final
@dataclass(frozen=True, eq=False)
class WithLayers:
    """A call of a module that returns the outputs of some layers, too.

    Args:
        call: ``call(module, batch)``.
        layers: Their names, as ``module.named_modules()`` has them.
    """

    call: Callable[[Any, Any], Any]
    layers: tuple[str, ...]

    @classmethod
    def of(cls, module: Any, call: Callable[[Any, Any], Any], layers: Sequence[str]) -> WithLayers:
        """Return the call, if the layers are there.

        Raises:
            ValueError: If a layer is not there, or its output could not be seen.
        """
        names = [name for name, _ in module.named_modules() if name]
        if hasattr(module, "_orig_mod") or type(module).__name__ == "DataParallel":
            raise ValueError(
                "layers= needs the module itself: outputs of layers within torch.compile or "
                "DataParallel do not pass through Python"
            )
        unknown = [name for name in layers if name not in names]
        if unknown or len(set(layers)) < len(layers):
            shown = f"{names[:_MOST_NAMED]}" + " and others" * (len(names) > _MOST_NAMED)
            raise ValueError(
                f"layers must list names of the module's parts, each once, got {layers!r}; "
                f"they are {shown}"
            )
        return cls(call, tuple(layers))

    def __call__(self, module: Any, batch: Any) -> dict[str, Any]:
        """Return the output (or outputs) of the module and those of the layers, by name.

        Raises:
            ValueError: If a layer was not called, or has the name of an output.
            TypeError: If a layer returned something else than a tensor.
        """
        parts, found = dict(module.named_modules()), dict[str, Any]()

        def note(name: str) -> Callable[[Any, Any, Any], None]:
            def hook(part: Any, inputs: Any, output: Any) -> None:
                if not is_torch(output):
                    raise TypeError(
                        f"the layer {name!r} returned {type(output).__name__}; name one that "
                        f"returns a tensor"
                    )
                again = sum(key == name or key.startswith(f"{name} (") for key in found)
                key = f"{name} ({again + 1})" if again else name
                # A copy: what follows may work in place.
                found[key] = output.detach().clone()

            return hook

        with _ALONE:
            handles = [parts[name].register_forward_hook(note(name)) for name in self.layers]
            try:
                output = self.call(module, batch)
            finally:
                for handle in handles:
                    handle.remove()
        missing = [name for name in self.layers if name not in found]
        if missing:
            raise ValueError(f"the layers {missing} were not called on the way to the output")
        named = dict(output) if isinstance(output, Mapping) else {DEFAULT_OUTPUT: output}
        both = sorted(set(named) & set(found))
        if both:
            raise ValueError(f"{both} name both outputs and layers; rename the outputs in call=")
        return named | found
