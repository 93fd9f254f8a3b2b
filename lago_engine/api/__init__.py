"""The HTTP API: Lago's REST interface over one partition."""

from lago_engine.api.app import create_app
from lago_engine.api.engine import Engine
from lago_engine.api.settings import ApiSettings

__all__ = ["ApiSettings", "Engine", "create_app"]
