"""Files that come with the package are found by name, and a name cannot lead anywhere else."""

import pytest

from reconciler import resources


@pytest.mark.parametrize("name", ["../pyproject.toml", "schemas/../../pyproject.toml", "/etc/passwd", "schemas/no-such.json", "a\0b"])
def test_a_name_that_leads_elsewhere_is_not_found(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        resources.text(name)
