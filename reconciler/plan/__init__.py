"""Desired against live: a Plan, and what holds parts of it. Pure.

`make.py` finds the operations, `guards.py` judges them as a whole, `needs.py` says what must wait, `binding.py` what is bound late.
"""
