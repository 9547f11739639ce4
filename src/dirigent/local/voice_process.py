"""The process of the voice: texts come in, sound files go out."""

from __future__ import annotations

from dirigent.annex.process import inhabit
from dirigent.local.speech_message import Say
from dirigent.local.voice import Voice

if __name__ == "__main__":
    inhabit(Say, Voice().speak)
