"""Pure audio: bytes, arrays and paths in and out; any floor may call it, and it knows nothing of calls.

Stored telephone audio is mono, 8000 samples per second, 16-bit little-endian (in a `.wav`) or A-law (a bare `.alaw`).
g711, wav, mp3 and convert load neither numpy nor asyncio: the converter's start-up is paid once per recording.
"""
