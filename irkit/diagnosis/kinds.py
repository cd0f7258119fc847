"""What a metric measures, told by its name: that decides how its movement is read."""

from __future__ import annotations

import re
from functools import lru_cache

# Order matters: the first pattern that fits wins.  `errors` and `success` come first because
# "http_server_duration_error_rate" counts errors, not time.
_KINDS = (
    ("success", r"avail|success|(^|_)up$|healthy|ready|apdex"),
    (
        "errors",
        r"err|fail|5\d\d|5xx|4xx|throttl|reject|drop|loss|time_?outs?\b|timeout|exception|abort"
        r"|retr(y|ies)|refused|panic|crash|restart|oom|evict|cancel|dead_?letter",
    ),
    (
        "latency",
        r"latenc|(^|_)lat(_|$|-)|duration|p\d\d\d?(_|$)|_ms$|(^|_)rtt|response_?time|delay|wait"
        r"|elapsed|(^|_)time(_|$)|lag(_|$)|slow",
    ),
    ("io", r"disk|(^|_)io(_|$)|diskio|iops|(^|_)fs(_|$)|(^|_)reads?(_|$)|(^|_)writes?(_|$)"),
    (
        "resource",
        r"cpu|mem|heap|gc(_|$)|socket|(^|_)fds?(_|$)"
        r"|descriptor|thread|pool|conn|util|satur|queue|backlog|rows|capacity|load(1|5|15)",
    ),
    (
        "traffic",
        r"request|workload|load|rps|qps|(^|_)rx|(^|_)tx|receive|transmit|network|traffic|byte"
        r"|packet|throughput|count|calls|invocation|hits|rate(_|$)|(^|_)ops(_|$)",
    ),
)
_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
_COUNTER = re.compile(r"(_total|_count|_sum|_bucket|uptime\w*)$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

KINDS = ("errors", "latency", "resource", "io", "traffic", "other")


@lru_cache(maxsize=4096)
def kind_of(metric: str) -> str:
    """`errors`, `success`, `latency`, `resource`, `io`, `traffic` or `other`.

    Example:
        >>> [kind_of(name) for name in ("latency_p99", "http_5xx_ratio", "cpu", "availability")]
        ['latency', 'errors', 'resource', 'success']
    """
    name = _CAMEL.sub("_", metric).lower().replace("-", "_").replace(".", "_")
    return next((kind for kind, pattern in _COMPILED if pattern.search(name)), "other")


@lru_cache(maxsize=4096)
def named_as_counter(metric: str) -> bool:
    """Whether the name says that the values only ever grow, as Prometheus' counters do.

    Source: https://prometheus.io/docs/practices/naming/
    """
    return bool(_COUNTER.search(metric.lower()))


def unit_of(metric: str) -> str:
    """The unit that the name ends with, or nothing: `s`, `ms`, `bytes`, `%`, `ratio`.

    Example:
        >>> unit_of("http_server_duration_p99_ms")
        'ms'
    """
    words = metric.lower().split("_")
    for word, unit in (
        ("ms", "ms"),
        ("milliseconds", "ms"),
        ("seconds", "s"),
        ("bytes", "bytes"),
        ("pct", "%"),
        ("percent", "%"),
        ("ratio", "ratio"),
        ("cores", "cores"),
        ("gib", "GiB"),
    ):
        if word in words:
            return unit
    return ""
