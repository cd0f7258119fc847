"""Incident-response runbooks as notebooks: one import, one object, everything asked from it.

    import irkit
    inc = irkit.incident(service="checkout", since="90m")

Importing it is fast: pandas, figures and integrations load with the first look.
"""

from irkit.incident import Incident, incident

__all__ = ["Incident", "incident"]
