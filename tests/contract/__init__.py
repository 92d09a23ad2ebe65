"""What every target must do, whatever it is: one suite of cases (`contract.py`) and a small adapter for each target."""
