"""``python -m verifier PROOF.json``."""

import sys

from verifier.command import main

sys.exit(main())
