"""Quantities as the API server stores them. The server itself is asked in tests/kubernetes/test_owned_real.py."""

import pytest

from reconciler.targets.kubernetes.quantity import canonical, of_bytes, of_cores, stands_at

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

STORED = {
    "1000m": "1",
    "1024Mi": "1Gi",
    "2000": "2k",
    "1.5Gi": "1536Mi",
    "0.5Ki": "512",
    "1.0001Ki": "1024102400u",
    # small and broken amounts
    "0.5": "500m",
    ".5": "500m",
    "0.0001": "100u",
    "1e-10": "1e-9",  # finer than a billionth: rounded up
    "-1.5": "-1500m",
    # zeros
    "0": "0",
    "00": "0",
    "0Ki": "0",
    "0.000": "0",
    # exponents move in steps of three
    "1e4": "10e3",
    "12e2": "1200",
    "1E3": "1E3",
    # large amounts
    "1E": "1E",
    "1Ei": "1Ei",
    "9Ei": "9223372036854775807",  # the largest that a binary amount may be
    "100000000000000000000": "100E",
    # not canonical, and kept: the server looks only at the last digits
    "005": "005",
    "+5": "+5",
    "5.": "5.",
    "1.500": "1.500",
    "100Ki": "100Ki",
}


@pytest.mark.parametrize(("text", "stored"), STORED.items())
def test_the_text_that_is_stored(text: str, stored: str) -> None:
    assert canonical(text) == stored
    assert canonical(stored) == stored


@pytest.mark.parametrize("text", ["", "x", "1GB", "1ki", "1 Gi", "Gi", "1e", "1e3e3", "1.2.3", "--1", "٣", "1000E"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """The last is one, but the server loses its suffix when it stores it."""
    with pytest.raises(ValueError, match=r"."):
        canonical(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [(2**30, "1Gi"), (1536 * 2**20, "1536Mi"), (16 * 10**9, "16G"), (1024, "1Ki"), (1, "1"), (1000, "1k"), (3 * 2**20 + 1, "3145729")],
)
def test_memory(number: int, text: str) -> None:
    assert of_bytes(number) == text
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0.5, "500m"), (2.0, "2"), (2, "2"), (0.1, "100m"), (0.57, "570m"), (64, "64"), (0.0001, "1m")]
)
def test_cores(number: float, text: str) -> None:
    assert of_cores(number) == text
    assert canonical(text) == text


@pytest.mark.parametrize(
    "path",
    [
        "spec containers resources limits nvidia.com/gpu",
        "spec resources requests storage",
        "spec hard requests.cpu",
        "volumes emptyDir sizeLimit",
        "metrics resource target averageValue",
        "valueFrom resourceFieldRef divisor",
    ],
)
def test_where_quantities_stand(path: str) -> None:
    assert stands_at(tuple(path.split()))


@pytest.mark.parametrize(
    "path",
    ["data sizeLimit", "metadata annotations value", "spec nodeSelector limits", "spec csi volumeAttributes sizeLimit", "x limits cpu", ""],
)
def test_where_they_do_not(path: str) -> None:
    """A name alone says nothing: labels, selectors and attributes of drivers have any name."""
    assert not stands_at(tuple(path.split()))
