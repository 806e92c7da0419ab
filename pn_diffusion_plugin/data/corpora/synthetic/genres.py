"""Genres: patterns and sounds of the music, and how it is danced.

Patterns of drums, bass and chords are sixteen quarter beats: `X` loud, `x` normal, `o` soft, `.` nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Genre:
    """One genre.

    Args:
        tempos: lowest and highest, beats per minute.
        kicks, snares, hats: drum patterns, of which a song has one each.
        extras: drum → pattern, of which a song has some.
        kits, basses, chords, leads: sounds, of which a song has one each (`drums.py`, `voices.py`).
        bass_lines, comping: patterns of bass and chords.
        legs, arms, trunks: names of patterns in `moves.py`.
        snare: drums that may play the snare's pattern.
        swing: range of the swing (0.5: even).
        parts: 2 or 4, see `timing.Timing`.
        scales: names in `harmony.py`.
        melody: density of the lead, 0 to 1.
        sharpness: of the arrivals in key poses, 0 (flowing) to 1 (popping).
        groove: depth of the bounce, body heights.
        space: level of the reverberation.
    """

    tempos: tuple[int, int]
    kicks: tuple[str, ...]
    snares: tuple[str, ...]
    hats: tuple[str, ...]
    extras: dict[str, str]
    kits: tuple[str, ...]
    basses: tuple[str, ...]
    chords: tuple[str, ...]
    leads: tuple[str, ...]
    bass_lines: tuple[str, ...]
    comping: tuple[str, ...]
    legs: tuple[str, ...]
    arms: tuple[str, ...]
    trunks: tuple[str, ...]
    snare: tuple[str, ...] = ("snare",)
    swing: tuple[float, float] = (0.5, 0.5)
    parts: int = 4
    scales: tuple[str, ...] = ("minor", "major", "dorian")
    melody: float = 0.3
    sharpness: float = 0.4
    groove: float = 0.03
    space: float = 0.12


def _genre(**fields: Any) -> Genre:
    """Build a genre from strings of words, one word per item."""
    values: dict[str, Any] = {n: tuple(v.split()) if isinstance(v, str) else v for n, v in fields.items()}
    return Genre(**values)


GENRES: dict[str, Genre] = {
    "house": _genre(
        tempos=(112, 132), swing=(0.5, 0.58), sharpness=0.3, groove=0.035,
        kicks="X...X...X...X... X...X...X...X.o.",
        snares="....X.......X... ....X..o....X...", hats="x.X.x.X.x.X.x.X. xoXoxoXoxoXoxoXo",
        extras={"shaker": "oxoxoxoxoxoxoxox", "cowbell": "..x...x..x..x...", "conga": "...x..x....x..xo"},
        kits="analogue tight", snare="clap snare",
        basses="saw sub fm", chords="stab organ epiano", leads="saw pluck",
        bass_lines="..x...x...x...x. x..x..x.x..x..x. ..xx..xx..xx..xx",
        comping="...x..x...x..x.. x..x..x..x..x... ..x...x...x...x.",
        legs="step_touch march shuffle grapevine running",
        arms="swing pump roll wave cross", trunks="upright groove twist",
    ),
    "disco": _genre(
        tempos=(104, 132),
        kicks="X...X...X...X...",
        snares="....X.......X...", hats="x.X.x.X.x.X.x.X. xoXxxoXxxoXxxoXx",
        extras={"tambourine": "..x...x...x...x.", "conga": "x..x..x.x..x.xx.", "clap": "....X.......X..."},
        kits="acoustic analogue",
        basses="finger saw", chords="strings guitar piano", leads="saw flute",
        bass_lines="x.x.x.x.x.x.x.x. x..xx..xx..xx..x",
        comping="..x...x...x...x. x.....x.....x...",
        legs="step_touch side_step turns kick_step grapevine",
        arms="point roll clap cross swing", trunks="groove lean twist",
    ),
    "techno": _genre(
        tempos=(122, 152), melody=0.15, sharpness=0.6,
        kicks="X...X...X...X... X...X...X..oX...",
        snares="................ ....x.......x...", hats="..X...X...X...X. xooxxoooxooxxooo",
        extras={"rim": "...x..x....x..x.", "tom_low": "......x..x......", "ride": "x...x...x...x..."},
        kits="analogue tight lofi", snare="clap rim", scales="minor phrygian",
        basses="sub fm saw", chords="stab pad", leads="square bell",
        bass_lines="..oo..oo..oo..oo ..x...x...x...x.",
        comping="...x......x..... x...............",
        legs="march bounce running stomp",
        arms="pump robot punch hang", trunks="upright nod twist",
    ),
    "hiphop": _genre(
        tempos=(80, 108), swing=(0.52, 0.64), melody=0.25, sharpness=0.5, groove=0.05,
        kicks="X.....x.X....... X..x..x...X..... X......xX.o..... X.x.......xX....",
        snares="....X.......X... ....X..o.o..X...", hats="x.o.x.o.x.o.x.o. xoxoxoxoxoxoxoxo",
        extras={"shaker": "..x...x...x...x.", "rim": "..........x....x", "open": "......x........."},
        kits="lofi acoustic analogue", snare="snare clap",
        basses="sub finger fm", chords="epiano piano pad guitar", leads="bell flute pluck",
        bass_lines="x.....x.x....... x..x..x...x..... x......xx..o....",
        comping="x.......x..x.... x...............",
        legs="bounce two_step crouch heel_toe stomp",
        arms="swing hang cross chop punch", trunks="groove lean nod wave",
    ),
    "trap": _genre(
        tempos=(130, 172), sharpness=0.55, groove=0.05,
        kicks="X.....x...x..... X..x......x..x.. X.........x.....",
        snares="........X.......", hats="xoxoxoxoxoxoxoxo x.x.x.xxx.x.xxxx",
        extras={"open": "..............x.", "rim": "...x......x.....", "cowbell": "x..x..x...x.x..."},
        kits="analogue tight", snare="clap snare", scales="minor phrygian",
        basses="sub", chords="pad piano strings", leads="bell flute square",
        bass_lines="x.....x...x..... x..x......x.....",
        comping="x............... x.......x.......",
        legs="bounce crouch two_step stomp",
        arms="chop hang cross wave", trunks="groove nod lean",
    ),
    "breakbeat": _genre(
        tempos=(96, 152), swing=(0.5, 0.6), sharpness=0.45, groove=0.04,
        kicks="X.x.......xx.... X.......x.x..... X..x......x..x..",
        snares="....X..o.o..X..o ....X..o.o....X.", hats="x.o.x.o.x.o.x.o. xoxxxoxoxoxxxoxo",
        extras={"ride": "x.x.x.x.x.x.x.x.", "tambourine": "....x.......x..."},
        kits="acoustic lofi",
        basses="finger saw fm", chords="organ epiano guitar", leads="saw square",
        bass_lines="x.x....x..x.x... x..x....x..x..x.",
        comping="...x......x..... x.....x.........",
        legs="kick_step shuffle running two_step turns",
        arms="swing punch cross pump", trunks="groove twist lean",
    ),
    "drum_and_bass": _genre(
        tempos=(158, 180),
        kicks="X.........x..... X.x.......x.....",
        snares="....X.......X... ....X..o.o..X...", hats="x.o.x.o.x.o.x.o. x.x.x.x.x.x.x.x.",
        extras={"ride": "x...x...x...x...", "shaker": "oxoxoxoxoxoxoxox"},
        kits="acoustic tight",
        basses="saw sub fm", chords="pad strings epiano", leads="bell saw",
        bass_lines="x.........x..... x......x..x.....",
        comping="x...............",
        legs="running bounce step_touch shuffle",
        arms="swing pump chop wave", trunks="upright groove nod",
    ),
    "pop": _genre(
        tempos=(88, 160), melody=0.45,
        kicks="X.......X.x..... X..x....X....... X...X...X...X...",
        snares="....X.......X...", hats="x.o.x.o.x.o.x.o. x.x.x.x.x.x.x.x.",
        extras={"tambourine": "..x...x...x...x.", "shaker": "xoxoxoxoxoxoxoxo", "clap": "....X.......X..."},
        kits="acoustic tight analogue", scales="major minor",
        basses="finger saw square", chords="piano guitar strings pad", leads="bell square flute",
        bass_lines="x...x...x...x... x.x.x.x.x.x.x.x. x..x..x.x..x..x.",
        comping="x...x...x...x... x.......x....... x..x..x...x...x.",
        legs="side_step step_touch turns jump box",
        arms="wave clap reach cross point circle", trunks="upright lean wave",
    ),
    "rock": _genre(
        tempos=(92, 176), sharpness=0.5, groove=0.04,
        kicks="X.......X....... X.....x.X.x..... X.x.....X.......",
        snares="....X.......X...", hats="x.x.x.x.x.x.x.x. X.x.X.x.X.x.X.x.",
        extras={"ride": "x.x.x.x.x.x.x.x.", "cowbell": "x...x...x...x..."},
        kits="acoustic", scales="minor mixolydian major",
        basses="finger saw", chords="guitar organ stab", leads="saw square",
        bass_lines="x.x.x.x.x.x.x.x. x...x.x.x...x.x.",
        comping="x.......x....... x...x...x...x... x..x..x.x.x.....",
        legs="stomp jump kick_step bounce march",
        arms="punch circle reach pump", trunks="nod groove lean",
    ),
    "funk": _genre(
        tempos=(90, 118), swing=(0.5, 0.6), sharpness=0.5, groove=0.045,
        kicks="X.x....x..x..... X..x...x..x...x. X.x...x...xx....",
        snares="....X..o.o.oX..o ....X.....o.X...", hats="xooxxoooxooxxooo xoxoxoxoxoxoxoxo",
        extras={"cowbell": "x...x...x...x...", "tambourine": "..x...x...x...x.", "conga": "x.xx.xx.x.xx.xx."},
        kits="acoustic tight", scales="dorian mixolydian",
        basses="finger fm square", chords="guitar epiano organ", leads="square saw",
        bass_lines="x..x..x.x.o.x..x x.ox....x.x..x..",
        comping="..xx..x...xx..x. x..x...x..x.....",
        legs="two_step heel_toe step_touch crouch shuffle",
        arms="chop swing roll cross", trunks="groove twist wave",
    ),
    "latin": _genre(
        tempos=(84, 176), sharpness=0.2, groove=0.025,
        kicks="X..x..x.X..x..x. X.....x.X.....x. X..xX..xX..xX..x",
        snares="...x..x....x..x. ..X...X...X...X.", hats="x.o.x.o.x.o.x.o. x.xxx.xxx.xxx.xx",
        extras={"conga": "o.x.o.xxo.x.o.xx", "cowbell": "x.x.xx.x.xx.x.x.",
                "rim": "x..x..x...x.x...", "shaker": "xoxoxoxoxoxoxoxo"},
        kits="acoustic tight", snare="rim snare", scales="minor major harmonic",
        basses="finger sub", chords="piano guitar epiano", leads="flute pluck square",
        bass_lines="x.....x.....x... x..x..x.x..x..x.",
        comping="x.xx.x.xx.x.x.x. ..x...x...x...x.",
        legs="salsa mambo box side_step turns",
        arms="roll wave cross swing hips", trunks="hips twist wave",
    ),
    "shuffle": _genre(
        tempos=(78, 176), swing=(0.6, 0.66), parts=2, sharpness=0.3, groove=0.04,
        kicks="X.......X....... X.....x.X.....x.",
        snares="....X.......X...", hats="x.x.x.x.x.x.x.x. x...x.x.x...x.x.",
        extras={"ride": "x...x.x.x...x.x.", "tambourine": "....x.......x..."},
        kits="acoustic lofi", scales="mixolydian dorian major",
        basses="finger", chords="piano organ guitar", leads="flute saw pluck",
        bass_lines="x...x...x...x... x.....x.x.....x.",
        comping="x.....x......... ......x.......x. ....x.......x...",
        legs="charleston kick_step step_touch heel_toe turns",
        arms="swing circle clap roll", trunks="groove lean twist",
    ),
    "ballad": _genre(
        tempos=(75, 96), melody=0.5, sharpness=0.15, groove=0.025, space=0.2,
        kicks="X.......x....... X.........x.....",
        snares="....X.......X... ........X.......", hats="x.o.x.o.x.o.x.o. x...x...x...x...",
        extras={"shaker": "x.o.x.o.x.o.x.o.", "ride": "x...x...x...x..."},
        kits="acoustic lofi analogue", snare="rim snare",
        basses="finger sub", chords="piano epiano strings guitar", leads="flute bell",
        bass_lines="x.......x....... x.....x.x.......",
        comping="x...x...x...x... x.x.x.x.x.x.x.x.",
        legs="sway side_step turns box",
        arms="wave reach circle roll", trunks="wave lean upright",
    ),
    "electro": _genre(
        tempos=(104, 142), melody=0.35, sharpness=0.9, groove=0.02,
        kicks="X.....x...x..... X..x..x...x..x.. X.....X...X.....",
        snares="....X.......X...", hats="x.o.x.o.x.o.x.o. xooxxoooxooxxooo",
        extras={"cowbell": "x.x..x.x..x.x...", "rim": "...x..x...x.....", "tom_high": "..........x..x.."},
        kits="analogue tight", snare="clap snare",
        basses="saw fm square", chords="stab pad strings", leads="square saw bell",
        bass_lines="x.xx..x.x.xx..x. x.....x...x.x...",
        comping="x..x..x......... ..x...x...x...x.",
        legs="robot_walk stomp march two_step",
        arms="robot hang chop punch", trunks="upright twist nod",
    ),
}  # fmt: skip


def genre_for(bpm: float, draw: float) -> str:
    """Choose one of the genres that are played at a tempo, all equally likely.

    Args:
        bpm: beats per minute, 75 to 180.
        draw: in [0, 1).

    >>> genre_for(175.0, 0.0), genre_for(78.0, 0.99)
    ('drum_and_bass', 'ballad')
    """
    fitting = [name for name, genre in GENRES.items() if genre.tempos[0] <= bpm <= genre.tempos[1]]
    return fitting[int(draw * len(fitting))]
