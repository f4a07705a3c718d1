"""What a recording says, decoded by a library that the product does not use."""

import io

import av
import numpy as np

from tests.phone.audio import tone_present


def sides(mp3: bytes) -> tuple[np.ndarray, np.ndarray, int]:
    """Left, right and sample rate of a stereo MP3."""
    with av.open(io.BytesIO(mp3)) as file:
        stream = file.streams.audio[0]
        assert stream.channels == 2
        frames = [frame.to_ndarray() for frame in file.decode(stream)]
        planes = np.concatenate(frames, axis=1)
        if planes.shape[0] == 1:
            planes = planes.reshape(-1, 2).T
        if planes.dtype != np.int16:
            planes = (planes * 32767).astype(np.int16)
        return planes[0], planes[1], stream.rate


def hears(samples: np.ndarray, rate: int, *present: float, absent: tuple[float, ...] = ()) -> None:
    """Assert that the tones are in the middle of the samples, and that the others are not."""
    middle = samples[len(samples) // 3 : len(samples) * 2 // 3]
    for freq in present:
        assert tone_present(middle, freq, rate), f"{freq} Hz is missing"
    for freq in absent:
        assert not tone_present(middle, freq, rate), f"{freq} Hz should not be there"
