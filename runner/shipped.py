"""Where what is shipped beside the code lies: the notebooks and the templates."""

from __future__ import annotations

from pathlib import Path

from irkit.errors import NotFound


def shipped(name: str) -> Path:
    """The folder `notebooks` or `templates`: inside the installed package, else in the checkout.

    Raises:
        NotFound: it is in neither place, so the installation is broken.
    """
    import irkit

    package = Path(irkit.__file__).parent
    for place in (package / "share" / name, package.parent / name):
        if place.is_dir():
            return place
    raise NotFound(f"the shipped {name} are missing", on=str(package), next="install irkit again")
