"""`python -m tests.simulation SEED`: plays one seed and tells what happened."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# `eraser` is found where it is installed: the sources beside us have no engine.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT] + [str(ROOT)]

from tests.simulation.playing import play  # noqa: E402


def main() -> int:
    played = play(int(sys.argv[1]), is_told=True)
    print("\n".join(played.diary))
    print(f"seed {played.seed}: {played.violation or 'everything held'}")
    return bool(played.violation)


if __name__ == "__main__":
    sys.exit(main())
