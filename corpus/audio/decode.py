"""Decoding of recordings to 16 kHz mono float32, with checks of the file's header before anything is decoded.

The container is recognised by the first bytes of the file, never by its name. One module for each container (`wav`,
`flac`, `ogg`, `mp3`) checks the file from its first to its last byte. Of a WAV file, libsndfile gets only the bare
samples, in one of eight plain encodings, so neither its header parser nor its ADPCM decoder is used. Of the other
containers it gets complete streams without tags, no longer than the longest allowed duration: a file of 78 kB that
holds an hour of audio costs no more than a clip.
"""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Final, NamedTuple

from corpus.audio import flac, mp3, ogg, wav
from corpus.audio.channels import to_mono
from corpus.audio.host_faults import refusal_of
from corpus.audio.id3 import end_of_tags
from corpus.audio.limits import AudioSettings, check_header, check_length, most_frames
from corpus.audio.resample import to_16k
from corpus.errors import AudioRefused
from corpus.records.base import Floats

_CODECS: Final = {
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
_STREAMS: Final = {"FLAC": flac.stream, "OGG": ogg.stream, "MP3": mp3.stream}


class Decoded(NamedTuple):
    """A decoded recording.

    Attributes:
        samples: (n,) float32 mono at 16 kHz, finite.
        rate: the original sample rate [Hz].
        one_channel: its channels cancel, and these are the samples of the loudest one.
    """

    samples: Floats
    rate: int
    one_channel: bool


def decode(source: Path | bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Return the recording at 16 kHz, and its original sample rate.

    Args:
        source: a WAV, FLAC, Ogg (Vorbis, Opus) or MP3 file, or its bytes.
        settings: which recordings are accepted.

    Returns:
        (n,) float32 mono samples at 16 kHz, finite; the original rate [Hz].

    Raises:
        AudioRefused, HostFault: as `decoded` and `read_bytes`.
    """
    found = decoded(read_bytes(source, settings) if isinstance(source, Path) else source, settings)
    return found.samples, found.rate


def decoded(data: bytes, settings: AudioSettings) -> Decoded:
    """Return the recording in the bytes of a WAV, FLAC, Ogg (Vorbis, Opus) or MP3 file.

    Args:
        data: the file; ID3v2 tags may stand before it, whatever its container.
        settings: which recordings are accepted.

    Raises:
        AudioRefused: with a reason of `corpus.audio.limits.REMEDIES`; the message holds numbers, never a path.
    """
    if len(data) > settings.max_bytes:
        raise AudioRefused("too_large", f"the file has more than {settings.max_bytes} bytes")
    if not data:
        raise AudioRefused("empty", "the file is empty")
    data = _untagged(data)
    samples, rate = wav.samples(data, settings) if data[:4] in wav.MAGIC else _compressed(data, settings)
    check_length(len(samples), rate, settings)
    mono, one_channel = to_mono(samples, settings)
    return Decoded(to_16k(mono, rate), rate, one_channel)


def read_bytes(path: Path, settings: AudioSettings) -> bytes:
    """Return the bytes of a regular file of at most `max_bytes`.

    Raises:
        AudioRefused: `missing_file`, `no_permission`, `unreadable` (a folder, pipe or device), or `too_large`.
        HostFault: the machine can't read it now.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe may wait for ever, a device never ends
            raise AudioRefused("unreadable", "not a regular file")
        if status.st_size > settings.max_bytes:
            raise AudioRefused("too_large", f"the file has {status.st_size} bytes, {settings.max_bytes} are allowed")
        with path.open("rb") as file:
            return file.read(status.st_size)  # a buffer of `max_bytes` would cost as much as decoding
    except (OSError, ValueError, MemoryError) as error:
        raise refusal_of(error) from error


def _untagged(data: bytes) -> bytes:
    """Return a WAV, FLAC or Ogg file without the ID3v2 tags before it; any other file unchanged.

    Raises:
        AudioRefused: `truncated`, where the file ends within a tag.
    """
    end = end_of_tags(data)
    if end > len(data):
        raise AudioRefused("truncated", "the file ends within its tag")
    other = data.startswith((*wav.MAGIC, flac.MAGIC, ogg.MAGIC), end)
    return data[end:] if end and other else data


def _container(data: bytes) -> str:
    """Return the name of the container, recognised by the first bytes.

    Raises:
        AudioRefused: `unsupported_codec` for another container of audio, `unreadable` for anything else.
    """
    if data.startswith(flac.MAGIC):
        return "FLAC"
    if data.startswith(ogg.MAGIC):
        return "OGG"
    if mp3.is_mp3(data):
        return "MP3"
    if data[:4] in (b"FORM", b".snd", b"caff", b"riff") or data[4:8] == b"ftyp":
        raise AudioRefused("unsupported_codec", "a container other than WAV, FLAC, Ogg and MP3")
    raise AudioRefused("unreadable", "not a recording in WAV, FLAC, Ogg or MP3")


def _compressed(data: bytes, settings: AudioSettings) -> tuple[Floats, int]:
    """Return (n, channels) float32 and the sample rate [Hz] of a FLAC, Ogg or MP3 file.

    At most one sample more than the longest allowed duration is ever decoded.
    """
    container = _container(data)
    stream = _STREAMS[container](data, settings)
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(stream)) as file:
            if file.format != container or file.subtype not in _CODECS[container]:
                raise AudioRefused("unsupported_codec", f"{container} with a codec that is not accepted")
            rate, frames = int(file.samplerate), int(file.frames)
            check_header(int(file.channels), rate, settings)
            check_length(frames, rate, settings)
            # One read: between two reads soundfile seeks, and an MP3 decoder then loses bits that frames share.
            samples = file.read(min(frames, most_frames(rate, settings) + 1), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError, OverflowError) as error:
        raise AudioRefused("unreadable", f"the {container} stream is damaged, or cut near its end") from error
    if len(samples) < frames:
        raise AudioRefused("truncated", f"the header promises {frames} samples, {len(samples)} can be decoded")
    return samples, rate
