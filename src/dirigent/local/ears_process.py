"""The process of the ears: sound files come in, what is said in them goes out."""

from __future__ import annotations

import sys

from dirigent.annex.process import inhabit
from dirigent.local.ears import Ears
from dirigent.local.speech_message import Listen

if __name__ == "__main__":
    inhabit(Listen, Ears(longest=float(sys.argv.pop(1))).transcribe)
