"""Holds the drum styles of invented scores, in steps of sixteenths, sixteen to a bar."""

from dataclasses import dataclass

KICK, RIM, SNARE, CLAP, HAT, PEDAL, OPEN, CRASH, RIDE, COWBELL = 36, 37, 38, 39, 42, 44, 46, 49, 51, 56
FILL = (SNARE, 50, 48, 47, 45, 43, 41)  # the snare, then the toms from high to low


@dataclass(frozen=True)
class Groove:
    """Holds a drum style: its ranges of tempo and swing, and for each drum one or more bars of steps.

    In a bar ``X`` is an accent, ``x`` a hit, ``o`` a ghost note, ``.`` a rest. ``swing`` is where the second
    half of a beat falls: 0.5 straight, 0.67 triplets.
    """

    tempo_bpm: tuple[float, float]
    swing: tuple[float, float]
    bars: dict[int, tuple[str, ...]]


GROOVES: dict[str, Groove] = {
    "rock": Groove(
        (90, 150),
        (0.5, 0.5),
        {
            KICK: ("X.......X.x.....", "X.....x.X.......", "X.x.....X.x...x."),
            SNARE: ("....X.......X...",),
            HAT: ("X.x.X.x.X.x.X.x.", "X...X...X...X..."),
        },
    ),
    "funk": Groove(
        (85, 120),
        (0.5, 0.56),
        {
            KICK: ("X..x..x...x..x..", "X.x....x..x..x..", "X......x..xx...."),
            SNARE: ("....X..o.o..X..o", "....X..o.o..X...", "....X....o.oX..o"),
            HAT: ("XxxxXxxxXxxxXxxx", "X.xxX.xxX.xxX.xx"),
            OPEN: ("................", "..............x."),
        },
    ),
    "disco": Groove(
        (108, 130),
        (0.5, 0.5),
        {
            KICK: ("X...X...X...X...",),
            SNARE: ("....X.......X...",),
            CLAP: ("....x.......x...", "................"),
            OPEN: ("..x...x...x...x.",),
            HAT: ("x.......x.......", "xx.xxx.xxx.xxx.x"),
        },
    ),
    "shuffle": Groove(
        (85, 150),
        (0.63, 0.68),
        {
            KICK: ("X.......X.....x.", "X.....x.X.....x."),
            SNARE: ("....X.......X...", "....X.o...o.X.o."),
            RIDE: ("X.x.X.x.X.x.X.x.", "X...X.x.X...X.x."),
            PEDAL: ("....x.......x...", "................"),
        },
    ),
    "reggae": Groove(
        (68, 95),
        (0.5, 0.6),
        {
            KICK: ("........X.......", "X.......X......."),
            RIM: ("........X.......",),
            HAT: ("x.X.x.X.x.X.x.X.", "..X...X...X...X."),
        },
    ),
    "halftime": Groove(
        (120, 170),
        (0.5, 0.5),
        {
            KICK: ("X..x......x.....", "X.....x......x..", "X.x............x"),
            SNARE: ("........X.......", "........X......o"),
            HAT: ("x.x.x.x.x.x.x.x.", "x...x...x...x..."),
        },
    ),
    "ballad": Groove(
        (70, 92),
        (0.5, 0.5),
        {
            KICK: ("X.........x.....", "X......xx......."),
            SNARE: ("....x.......x...",),
            RIM: ("................", "............x..."),
            RIDE: ("x.x.x.x.x.x.x.x.", "x...x...x...x..."),
        },
    ),
    "bossa": Groove(
        (100, 145),
        (0.5, 0.5),
        {
            KICK: ("X..xX..xX..xX..x", "X.....x.X.....x."),
            RIM: ("X..x..x...x..x..", "X..x..x...x..x.."),
            HAT: ("x.x.x.x.x.x.x.x.",),
            COWBELL: ("................", "x...x...x...x..."),
        },
    ),
    "metal": Groove(
        (130, 170),
        (0.5, 0.5),
        {
            KICK: ("X.x.X.x.X.x.X.x.", "XxxxXxxxXxxxXxxx", "X..xX..xX..xX..x"),
            SNARE: ("....X.......X...", "..X...X...X...X."),
            CRASH: ("................", "X...X...X...X..."),
            HAT: ("X...X...X...X...",),
        },
    ),
    "swing": Groove(
        (110, 170),
        (0.63, 0.67),
        {
            RIDE: ("X...X.x.X...X.x.",),
            PEDAL: ("....X.......X...",),
            KICK: ("o...o...o...o...", "............x...", "......x........."),
            SNARE: ("................", "......o.......o.", "..........o....."),
        },
    ),
}

LOUDNESS = {"X": 0.9, "x": 0.68, "o": 0.3}
