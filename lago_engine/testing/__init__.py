"""Public test kits. They need pytest and pytest-asyncio (`asyncio_mode = "auto"`)."""

import pytest

# The kits' asserts must explain themselves in the author's test run as well.
pytest.register_assert_rewrite(
    "lago_engine.testing.provider_contract", "lago_engine.testing.provider_kit"
)

from lago_engine.testing.provider_contract import ProviderContract  # noqa: E402
from lago_engine.testing.provider_kit import Arrangement, Books, Case  # noqa: E402

__all__ = ["Arrangement", "Books", "Case", "ProviderContract"]
