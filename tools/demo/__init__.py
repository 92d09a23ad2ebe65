"""From a commit to a served token, step by step, by the public commands alone: Git, `reconciler`, and the OpenAI client.

`story` is the eight steps, top to bottom; `stage` is where it plays (one folder, which is removed with everything that was started from
it, also on failure and Ctrl-C); `traffic` asks the gateway; `screen` is what one sees. Every claim of a step is checked.
"""


class DemoFailed(Exception):
    """A claim of the demo does not hold."""
