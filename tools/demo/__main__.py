"""`make demo`: exit code 0 when every claim held and nothing was left behind, 1 when not, 130 for Ctrl-C."""

import argparse
import signal
import subprocess
import sys
from types import FrameType

import openai

from tools import models
from tools.demo import DemoFailed
from tools.demo.screen import Screen
from tools.demo.story import play


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="From a commit to a served token, with real parts.")
    parser.add_argument("--stay", action="store_true", help="keep it up after step 6, and say how to use it (STAY=1)")
    stay: bool = parser.parse_args().stay
    signal.signal(signal.SIGTERM, interrupt)
    screen = Screen()
    try:
        play(screen, stay)
    except (DemoFailed, models.NotFetched, openai.OpenAIError, subprocess.SubprocessError, OSError) as error:
        screen.line(f"\nthe demo failed after {screen.total():.0f} s: {type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        screen.line("\nended before its time; nothing is left of it")
        return 130
    screen.line(f"\nall of it in {screen.total():.0f} s; nothing is left running, and its folder is removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
