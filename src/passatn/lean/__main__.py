"""`python -m passatn.lean`: the embedded Lean's loop on standard input and output, see docs/lean.md."""

import os
import sys

from passatn.lean.embedded import embedded_lean
from passatn.lean.prelude import compiled_prelude
from passatn.lean.repl import DRIVER, compiled_loop


def main() -> None:
    """Run the loop in the place of this process."""
    lean = embedded_lean()
    prelude, loop = compiled_prelude(lean).folder, compiled_loop(lean)
    command = lean.command(["-j1", str(loop / DRIVER)], parent_pid=os.getppid())
    os.execve(sys.executable, command, lean.environment(prelude, loop))


if __name__ == "__main__":
    main()
