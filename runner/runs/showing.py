"""In a run's kernel: plotly's figures arrive as data, whichever renderer their author left on.

Plotly's other renderers write into files that nobody collects, ask for a browser or for kaleido,
or send five megabytes of script.  `runner.runs.child` has each kernel call `install` as it starts;
nothing is imported before the notebook imports plotly itself (docs/adr/0008-figure-contract.md).
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

# A startup file of IPython: it binds no name that a notebook could see.
STARTUP = '__import__("runner.runs.showing", fromlist=["install"]).install()\n'
_RENDERERS = "plotly.io._renderers"


class _Finder:
    """Finds plotly's renderers as Python would, and changes them once they are loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's own spec, with a loader that changes the module; None for any other."""
        if name != _RENDERERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        show_as_data(module)


def install() -> None:
    """From now on, importing plotly in this process gives one whose figures are shown as data."""
    sys.meta_path.insert(0, _Finder())


def show_as_data(module: Any) -> None:
    """Make every renderer of `plotly.io._renderers` show `application/vnd.plotly.v1+json`.

    Names of renderers are still checked, and no renderer at all still shows nothing.
    """
    data = module.PlotlyRenderer()

    class Renderers(type(module.renderers)):  # type: ignore[misc]
        """Plotly's choice of renderers, of which each shows a figure's JSON and nothing else."""

        def _build_mime_bundle(
            self, fig_dict: Any, renderers_string: str | None = None, **_: Any
        ) -> dict[str, Any]:
            if renderers_string:
                self._validate_coerce_renderers(renderers_string)
            return data.to_mimebundle(fig_dict)

        def _perform_external_rendering(self, *_: Any, **__: Any) -> None:
            """No file, no browser."""

        def _activate_pending_renderers(self, *_: Any, **__: Any) -> None:
            """No script that would draw."""

    module.renderers.__class__ = Renderers
