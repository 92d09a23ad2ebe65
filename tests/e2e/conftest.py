"""The same models as the tests with real parts."""

from tests.real.conftest import models

__all__ = ["models"]
