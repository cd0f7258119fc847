"""A small real system to break: three services, their releases, and a load on them."""

from __future__ import annotations

from runner.demo.shop.shop import Shop, run_foreground

__all__ = ["Shop", "run_foreground"]
