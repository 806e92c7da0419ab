"""Videos in and out: what is written is read back, on one clock; what cannot be read is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest
from ffmpeg import BARS, ffmpeg

from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames, reverse
from pn_diffusion_plugin.data.video.sound import fit_length, read_audio
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import AudioError, VideoError

RATE = 22050


def counting(count: int, height: int = 48, width: int = 64, step: int = 4) -> np.ndarray:
    """(T, H, W, 3): picture i is grey of i * step, its left upper quarter bright."""
    frames = np.empty((count, height, width, 3), dtype=np.uint8)
    frames[:] = (np.arange(count) * step).astype(np.uint8)[:, None, None, None]
    frames[:, : height // 2, : width // 2] = 255
    return frames


def numbers(frames: Sequence[np.ndarray] | np.ndarray, step: int = 4) -> list[int]:
    """Which pictures of `counting` these are."""
    return [round(float(frame[-8:, -8:].mean()) / step) for frame in frames]


def clicks(seconds: float, times: Sequence[float], rate: int = RATE) -> np.ndarray:
    """(N,) silence with a click of 5 ms at each of `times`."""
    wav = np.zeros(round(seconds * rate), dtype=np.float32)
    for time in times:
        first = round(time * rate)
        wav[first : first + rate // 200] = 0.9
    return wav


def heard(wav: np.ndarray, rate: int = RATE) -> list[float]:
    """Times of clicks: a loud sample after at least 50 ms of quiet."""
    loud = np.flatnonzero(np.abs(wav) > 0.45) / rate
    return [float(t) for t in loud[np.diff(loud, prepend=-1.0) > 0.05]]


def decoded_sound(path: Path) -> tuple[np.ndarray, float]:
    """What the bare decoder gives, cut as players do to the length the file declares; and that length."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.time_base is not None and stream.duration is not None
        seconds = float(stream.duration * stream.time_base)
        blocks = [frame.to_ndarray()[0] for frame in container.decode(stream)]
        return np.concatenate(blocks)[: round(seconds * stream.rate)], seconds


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, 25 pictures a second, clicks at .25, 1 and 1.5 s in lossless sound."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, counting(50), 25, clicks(2.0, (0.25, 1.0, 1.5)), RATE, audio_codec="alac")
    return path


def remux(source: Path, target: Path, change: Callable[[av.Packet], None], **options: str) -> Path:
    """Copy the picture of `source` packet by packet, changed on the way."""
    with av.open(str(source)) as inside, av.open(str(target), "w", options=options) as outside:
        stream = outside.add_stream_from_template(inside.streams.video[0])
        for packet in inside.demux(video=0):
            if packet.size:
                change(packet)
                packet.stream = stream
                outside.mux(packet)
    return target


# What is written is read back


def test_probe_tells_what_was_written(clip: Path) -> None:
    info = probe(clip)
    assert (info.width, info.height, info.rotation, info.has_audio) == (64, 48, 0, True)
    assert info.seconds == pytest.approx(2.0) and info.fps == pytest.approx(25.0)


def test_frames_come_back_in_order(clip: Path) -> None:
    frames = list(read_frames(clip, 25))
    assert numbers(frames) == list(range(50))
    assert frames[0].shape == (48, 64, 3) and frames[0].dtype == np.uint8
    assert frames[30][4:16, 4:24].mean() > 240  # the bright quarter is where it was


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (12.5, list(range(0, 50, 2))),
        (50.0, [i // 2 for i in range(100)]),
        (10.0, [round(2.5 * i - 1e-6) for i in range(20)]),  # a tie shows the earlier one
    ],
)
def test_frames_at_another_rate_are_the_nearest_in_time(clip: Path, fps: float, expected: list[int]) -> None:
    assert numbers(list(read_frames(clip, fps))) == expected


@pytest.mark.parametrize("start", [0.0, 0.4, 1.2, 1.96])
def test_a_part_is_a_slice_of_the_whole(clip: Path, start: float) -> None:
    first = round(start * 25)
    assert numbers(list(read_frames(clip, 25, start=start))) == list(range(first, 50))
    two = list(read_frames(clip, 25, start=start, seconds=0.04))
    assert numbers(two) == [first]


def test_past_the_end_the_last_picture_stays(clip: Path) -> None:
    found = numbers(list(read_frames(clip, 25, start=1.8, seconds=0.4)))
    assert found == [45, 46, 47, 48] + [49] * 6


def test_size_bounds_the_longer_side_and_never_enlarges(clip: Path) -> None:
    assert next(read_frames(clip, 25, size=32)).shape == (24, 32, 3)
    assert next(read_frames(clip, 25, size=500)).shape == (48, 64, 3)


def test_senseless_arguments_are_refused(clip: Path) -> None:
    with pytest.raises(ValueError, match="fps must be > 0"):
        next(read_frames(clip, 0))
    with pytest.raises(ValueError, match="-1"):
        next(read_frames(clip, 25, start=-1))


def test_lossless_sound_comes_back_to_the_bit(tmp_path: Path) -> None:
    wav = np.random.default_rng(0).integers(-30000, 30000, RATE).astype(np.float32) / 32768
    write_video(tmp_path / "a.mp4", counting(25), 25, wav, RATE, audio_codec="alac")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.mp4", RATE), wav)


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 22000, 16000])
def test_coded_sound_keeps_its_time(tmp_path: Path, rate: int) -> None:
    times = (0.25, 1.0, 1.5)
    write_video(tmp_path / "a.mp4", counting(50), 25, clicks(2.0, times, rate), rate)
    wav = read_audio(tmp_path / "a.mp4", RATE)
    assert wav.shape == (2 * RATE,) and wav.dtype == np.float32
    np.testing.assert_allclose(heard(wav), times, atol=1e-3)


def test_sound_is_resampled_with_its_times(clip: Path) -> None:
    wav = read_audio(clip, 16000)
    assert wav.shape == (32000,)
    np.testing.assert_allclose(heard(wav, 16000), (0.25, 1.0, 1.5), atol=1e-3)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    mono = clicks(1.0, (0.5,))
    write_video(tmp_path / "a.mp4", counting(25), 25, np.stack([mono, 0 * mono]), RATE, audio_codec="alac")
    np.testing.assert_allclose(read_audio(tmp_path / "a.mp4", RATE), mono / 2, atol=1e-4)


def test_the_channels_of_a_track_are_mixed_by_their_names(tmp_path: Path) -> None:
    """AAC stores the centre first; the layout says so."""
    path = tmp_path / "a.mp4"
    sources = [
        f"-f lavfi -i sine=frequency={f}:sample_rate=44100:duration=1".split() for f in (200, 400, 600)
    ]
    ffmpeg(
        *BARS, *sum(sources, []), "-filter_complex", "[1:a][2:a][3:a]join=inputs=3:channel_layout=5.1:"
        "map=0.0-FL|1.0-FR|2.0-FC|0.0-LFE|0.0-BL|1.0-BR[a]", "-map", "0:v", "-map", "[a]", "-c:v", "libx264",
        "-c:a", "aac", "-b:a", "512k", path,
    )  # fmt: skip
    wav = read_audio(path, 44100)
    spectrum = np.abs(np.fft.rfft(wav, 44100)) * 2 / 44100
    left = (1 + 0.5**0.5) / 2
    np.testing.assert_allclose(spectrum[[200, 400, 600]] / 0.125, [left, left, 0.5**0.5], rtol=0.05)


def test_sound_is_as_long_as_the_picture_whatever_was_given(tmp_path: Path) -> None:
    for seconds in (0.3, 1.0, 2.7):
        write_video(tmp_path / "a.mp4", counting(25), 25, clicks(seconds, (0.1,)), RATE)
        assert decoded_sound(tmp_path / "a.mp4")[1] == pytest.approx(1.0, abs=1 / RATE)
        assert len(read_audio(tmp_path / "a.mp4", RATE)) == RATE


def test_odd_sizes_and_broken_rates(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counting(30, 33, 45), 30000 / 1001)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height) == (46, 34)
    assert info.fps == pytest.approx(30000 / 1001) and info.seconds == pytest.approx(1.001)
    assert numbers(list(read_frames(tmp_path / "a.mp4", 30000 / 1001))) == list(range(30))


@pytest.mark.parametrize(
    ("frames", "audio", "error"),
    [
        ([], None, VideoError),
        ([np.zeros((8, 8), np.uint8)], None, VideoError),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)], None, VideoError),
        (counting(3), np.full(100, np.nan, np.float32), AudioError),
        (counting(3), np.zeros((3, 100), np.float32), AudioError),
    ],
)
def test_nothing_is_left_of_a_video_that_cannot_be_written(
    tmp_path: Path, frames: list[np.ndarray], audio: np.ndarray | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        write_video(tmp_path / "a.mp4", frames, 25, audio)
    assert list(tmp_path.iterdir()) == []


def test_reverse_twice_is_forward() -> None:
    frames = counting(7)
    assert numbers(reverse(frames)) == [6, 5, 4, 3, 2, 1, 0]
    np.testing.assert_array_equal(reverse(reverse(iter(frames))), frames)


def test_fit_length() -> None:
    wav = np.ones((2, 5), np.float32)
    assert fit_length(wav, 3).shape == (2, 3)
    assert fit_length(wav, 7).sum() == 10


# The clock


def test_variable_rate_shows_what_is_on_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "vfr.mp4"
    shown_at = [0, 40, 80, 880, 920, 1000]  # milliseconds: a hold of 0.8 s after the third picture
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, pts in zip(counting(6, step=30), shown_at, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = numbers(list(read_frames(path, 25, seconds=1.04)), step=30)
    assert found == [0, 1] + [2] * 20 + [3, 4, 4, 5]


@pytest.mark.parametrize("degrees", [90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_display_matrix_is_applied_and_kept(
    clip: Path, tmp_path: Path, degrees: int, mirrored: bool
) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(clip)) as inside, av.open(str(path), "w") as outside:
        stream = outside.add_stream_from_template(inside.streams.video[0])
        stream.set_display_rotation(degrees, hflip=mirrored)
        for packet in inside.demux(video=0):
            if packet.size:
                packet.stream = stream
                outside.mux(packet)
    upright = next(read_frames(clip, 25))
    expected = np.rot90(upright, round(degrees / 90))
    if mirrored:  # the mirror stands after the turn
        expected = expected[:, ::-1]
    np.testing.assert_array_equal(next(read_frames(path, 25)), expected)
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    mux(path, np.zeros(10, np.float32), RATE, tmp_path / "out.mp4")
    np.testing.assert_array_equal(next(read_frames(tmp_path / "out.mp4", 25)), expected)


def test_a_late_picture_is_time_zero(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(clip)) as inside, av.open(str(path), "w") as outside:
        streams = {s.index: outside.add_stream_from_template(s) for s in inside.streams}
        for packet in inside.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                if packet.stream.type == "video":
                    shift = round(0.5 / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream_index]
                outside.mux(packet)
    assert probe(path).seconds == pytest.approx(2.0, abs=2e-3)
    assert numbers(list(read_frames(path, 25))) == list(range(50))
    wav = read_audio(path, RATE)
    assert len(wav) == round(probe(path).seconds * RATE)
    np.testing.assert_allclose(heard(wav), (0.5, 1.0), atol=3e-3)  # that at .25 s was too early


def test_a_late_sound_starts_with_silence(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    source = tmp_path / "a.mp4"
    write_video(source, counting(50), 25, clicks(2.0, (0.25, 1.0)), RATE, audio_codec="alac")
    with av.open(str(source)) as inside, av.open(str(path), "w") as outside:
        streams = {s.index: outside.add_stream_from_template(s) for s in inside.streams}
        for packet in inside.demux():
            if packet.size and packet.pts is not None and packet.dts is not None:
                if packet.stream.type == "audio":
                    shift = round(0.5 / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream_index]
                outside.mux(packet)
    np.testing.assert_allclose(heard(read_audio(path, RATE)), (0.75, 1.5), atol=3e-3)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".ts", "libx264"), (".avi", "mpeg4"), (".mkv", "mjpeg"), (".h264", "libx264")]
)
def test_other_containers_and_codecs(tmp_path: Path, suffix: str, codec: str) -> None:
    path, out = tmp_path / f"a{suffix}", tmp_path / "out.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.max_b_frames = 0
        for number, picture in enumerate(counting(25, step=10)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe(path).seconds == pytest.approx(1.0, abs=0.041)
    assert numbers(list(read_frames(path, 25)), step=10)[:24] == list(range(24))
    mux(path, clicks(1.0, (0.5,)), RATE, out)
    assert numbers(list(read_frames(out, 25)), step=10)[:24] == list(range(24))
    np.testing.assert_allclose(heard(read_audio(out, RATE)), [0.5], atol=1e-3)


# Muxing


def test_mux_copies_the_picture_and_replaces_the_sound(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    mux(clip, clicks(2.0, (0.5, 1.25)), RATE, out)
    with av.open(str(clip)) as before, av.open(str(out)) as after:
        assert len(after.streams.audio) == len(after.streams.video) == 1
        old = [bytes(p) for p in before.demux(video=0) if p.size]
        new = [bytes(p) for p in after.demux(video=0) if p.size]
    assert old == new
    np.testing.assert_allclose(heard(read_audio(out, RATE)), (0.5, 1.25), atol=1e-3)


@pytest.mark.parametrize("given", [0.0, 0.5, 1.99, 2.0, 3.3])
@pytest.mark.parametrize("rate", [22050, 44100])
def test_mux_is_exact_to_a_sample(clip: Path, tmp_path: Path, given: float, rate: int) -> None:
    out = tmp_path / "out.mp4"
    mux(clip, clicks(given, (), rate), rate, out)
    wav, seconds = decoded_sound(out)
    assert abs(seconds - 50 / 25) <= 1 / rate
    assert abs(len(wav) - 2.0 * rate) <= 1
    assert probe(out).seconds == pytest.approx(2.0)


def test_mux_stereo_onto_itself_and_twice(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(clip.read_bytes())
    mono = clicks(2.0, (0.7,))
    for _ in range(2):
        mux(out, np.stack([mono, mono]), RATE, out)
    assert numbers(list(read_frames(out, 25))) == list(range(50))
    np.testing.assert_allclose(heard(read_audio(out, RATE)), [0.7], atol=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_long_file_is_interleaved(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_video(path, counting(500, 16, 16, step=0), 25, np.zeros(20 * RATE, np.float32), RATE)
    with av.open(str(path)) as container:
        at = {"video": 0.0, "audio": 0.0}
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                at[packet.stream.type] = float(packet.pts * packet.time_base)
                assert abs(at["video"] - at["audio"]) < 2.0


# What cannot be used


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4 does not exist"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="is a folder"):
        probe(tmp_path)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match="0 bytes"):
        probe(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("this is not a film" * 100)
    with pytest.raises(VideoError, match=r"text\.mp4 cannot be read as a video"):
        probe(tmp_path / "text.mp4")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(30000))
    with pytest.raises(VideoError, match=r"noise\.mp4 cannot be read as a video"):
        read_audio(tmp_path / "noise.mp4", RATE)


@pytest.mark.parametrize(("suffix", "codec"), [(".png", "png"), (".jpg", "mjpeg"), (".mp4", "png")])
def test_a_picture_is_no_video(tmp_path: Path, suffix: str, codec: str) -> None:
    made, path = tmp_path / f"made.{'jpg' if codec == 'mjpeg' else 'png'}", tmp_path / f"a{suffix}"
    with av.open(str(made), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(counting(1)[0], format="rgb24")))
        container.mux(stream.encode(None))
    made.rename(path)
    with pytest.raises(VideoError, match="is an image"):
        probe(path)


def test_a_single_picture_in_a_video_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counting(1), 25)
    with pytest.raises(VideoError, match="a single frame"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_an_audio_file_is_no_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", format="wav" if suffix == ".wav" else "mp4") as container:
        stream = container.add_stream("pcm_s16le" if suffix == ".wav" else "aac", rate=RATE, layout="mono")
        form = stream.codec_context.format.name
        block = np.zeros((1, RATE), np.int16 if form == "s16" else np.float32)
        frame = av.AudioFrame.from_ndarray(block, format=form, layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"has no video stream \(it is an audio file\): give a video file"):
        probe(path)


def test_a_silent_video_has_no_sound_to_read(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", counting(10), 25)
    assert not probe(tmp_path / "a.mp4").has_audio
    with pytest.raises(AudioError, match=r"a\.mp4 has no sound track"):
        read_audio(tmp_path / "a.mp4", RATE)


@pytest.mark.parametrize("lost", [1000, 2000, 4000])  # bytes; the index of an mp4 stands at its end
def test_a_file_without_its_index(clip: Path, tmp_path: Path, lost: int) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:-lost])
    with pytest.raises(VideoError, match="cut off or damaged"):
        probe(path)


def test_a_file_cut_off_behind_its_index(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    write_video(source, np.random.default_rng(0).integers(0, 255, (75, 48, 64, 3), dtype=np.uint8), 25)
    whole = remux(source, tmp_path / "whole.mp4", lambda packet: None, movflags="faststart")
    assert probe(whole).seconds == pytest.approx(3.0)
    data = whole.read_bytes()
    half = tmp_path / "half.mp4"
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"half\.mp4 is cut off: its header promises 3\.0 s"):
        probe(half)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data[: len(data) // 4] + bytes(len(data) // 2) + data[len(data) * 3 // 4 :])
    with pytest.raises(VideoError, match=r"damaged\.mp4 is damaged: only \d+ of 75 frames"):
        list(read_frames(damaged, 25))


def test_a_playlist_in_disguise_is_not_followed(clip: Path, tmp_path: Path) -> None:
    for name in ("list.mp4", "list.m3u8"):
        path = tmp_path / name
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:2,\n{clip}\n#EXT-X-ENDLIST\n")
        with pytest.raises(VideoError, match="cannot be read as a video"):
            probe(path)


def test_ffmpeg_does_not_log_into_python(clip: Path) -> None:
    """Its threads would wait for a lock that whoever frees their decoder holds."""
    av.logging.set_level(av.logging.ERROR)  # as importing an older torchvision does
    probe(clip)
    assert av.logging.get_level() is None
