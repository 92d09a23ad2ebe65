"""Declarations -> resources. Pure: no clock, no files, no network; engine schemas are passed in.

After this step nothing knows what an endpoint is. Read `desired.py` first, then `endpoints.py`.
"""

from reconciler.compile.desired import compile_declarations

__all__ = ["compile_declarations"]
