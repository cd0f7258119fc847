"""irkit.yaml: one file, checked on reading; every mistake names file, path, value and cure."""

from irkit.config.fields import Duration, Matchers, Name, SecretField, Section, Share
from irkit.config.reading import load, parse
from irkit.config.sections import (
    ActionConfig,
    ActionTargetConfig,
    CatalogConfig,
    Config,
    IntegrationConfig,
    PersonConfig,
    RouteConfig,
    RunsConfig,
    SafetyConfig,
    ServerConfig,
    ServiceConfig,
    SignalConfig,
    StorageConfig,
)

__all__ = [
    "ActionConfig",
    "ActionTargetConfig",
    "CatalogConfig",
    "Config",
    "Duration",
    "IntegrationConfig",
    "Matchers",
    "Name",
    "PersonConfig",
    "RouteConfig",
    "RunsConfig",
    "SafetyConfig",
    "SecretField",
    "Section",
    "ServerConfig",
    "ServiceConfig",
    "Share",
    "SignalConfig",
    "StorageConfig",
    "load",
    "parse",
]
