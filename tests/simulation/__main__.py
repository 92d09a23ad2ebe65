"""`python -m tests.simulation SEED`: replay one history and print it as a script. With two seeds: all from the first up to the second."""

import sys

from tests.simulation.history import History, Violated


def main(arguments: list[str]) -> int:
    first = int(arguments[0])
    last = int(arguments[1]) if len(arguments) > 1 else first
    failed = 0
    for seed in range(first, last + 1):
        history = History(seed)
        try:
            history.run()
        except Violated:
            failed += 1
        if last == first:
            sys.stdout.write("\n".join(history.script) + "\n")
        elif history.script[-1].startswith("BROKEN"):
            sys.stdout.write(f"{seed}: {history.script[-1]}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
