"""What we remember between passes: `record.py` as a value, `advance.py` how a pass changes it, `folder.py` where it lies.

The folder can be lost: the targets' marks say what is ours, and without a record the guards hold rather than guess."""
