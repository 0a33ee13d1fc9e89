"""Check that the real model is there and whole: ``python -m lmmath.weights``."""

import sys

from lmmath.weights.smollm2 import check_smollm2

if __name__ == "__main__":
    try:
        check_smollm2()
    except (OSError, ValueError) as error:
        sys.exit(str(error))
