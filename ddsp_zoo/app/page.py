"""The page: what it shows, and which buttons make which call."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from ddsp_zoo.api.edit import SOUNDS
from ddsp_zoo.app import table
from ddsp_zoo.app.actions import EXAMPLES, Actions, Shown, examples, models
from ddsp_zoo.app.handles import VERBS, Handle
from ddsp_zoo.app.panel import Panel, curves, panels
from ddsp_zoo.app.session import Session, Sessions, clock
from ddsp_zoo.files.audio import ENDINGS
from ddsp_zoo.zoo import info

WORK = {"concurrency_limit": 1, "concurrency_id": "work", "show_progress": "hidden"}
QUICK = {"show_progress": "hidden"}
TEXT = """# ddsp_zoo
Separate a recording, hear its parts, change their controls and hear it again. Nothing leaves this machine, and all
that you bring or make here is removed when you close or reload the page: take it away before."""
UNEDITABLE = "This model has no synthesiser, it only cuts sources out of a mixture: there is nothing to edit."


def build(sessions: Sessions) -> gr.Blocks:
    """Returns the page, for visitors who each have a session of their own."""
    do = Actions(sessions)
    with gr.Blocks(title="ddsp_zoo", analytics_enabled=False) as page:
        gr.Markdown(TEXT)
        with gr.Row():
            recording, example = _recording(sessions)
            model, pitch, start, stop = _model()
        status = gr.HTML(do.greeting(), elem_id="status")
        player, picture = gr.HTML(elem_id="player"), gr.HTML(elem_id="overview")
        take = gr.HTML(elem_id="take")
        song = gr.State(None)  # a token and a number, new for each separation
        shown = [status, player, picture, take, song]
        _panels(do, song, [player, take])

        @recording.upload(inputs=recording, outputs=[recording, example, *shown], **QUICK)
        def upload(path: str, request: gr.Request) -> list[Any]:
            # The file is taken over, so the place is free for the next one.
            return [None, None, *_updates(do.receive(sessions.of(request.session_hash), path))]

        @example.input(inputs=example, outputs=[model, *shown], **QUICK)
        def use_example(name: str, request: gr.Request) -> list[Any]:
            given = do.use_example(sessions.of(request.session_hash), name)
            return [EXAMPLES[name], *_updates(given)]

        @pitch.upload(inputs=pitch, **QUICK)
        def bring_pitch(path: str, request: gr.Request) -> None:
            sessions.of(request.session_hash).receive_pitch(path)

        @pitch.clear(**QUICK)
        def drop_pitch(request: gr.Request) -> None:
            sessions.of(request.session_hash).pitch = None

        @start.click(inputs=model, outputs=shown, **WORK)
        def separate(name: str, request: gr.Request) -> Any:
            for given in do.separate(sessions.of(request.session_hash), name):
                yield _updates(given)

        @stop.click(queue=False, **QUICK)
        def end_work(request: gr.Request) -> None:
            sessions.of(request.session_hash).worker.stop()

        @page.unload
        def leave(request: gr.Request) -> None:
            sessions.end(request.session_hash)

    return page


def _recording(sessions: Sessions) -> tuple[gr.File, gr.Radio]:
    """The place for a file, and the examples."""
    limits = sessions.limits
    with gr.Column(min_width=280):
        file = gr.File(
            label=f"Recording, up to {clock(60 * limits.minutes)} and {limits.megabytes:g} MB",
            file_types=list(ENDINGS),
            elem_id="recording",
            height=170,
        )
        there = examples()
        radio = gr.Radio(list(there), label="or an example", visible=bool(there), elem_id="example")
    return file, radio


def _model() -> tuple[gr.Dropdown, gr.File, gr.Button, gr.Button]:
    """The choice of a model, a pitch for those that need it, and the buttons."""
    with gr.Column(min_width=280):
        names = models()
        model = gr.Dropdown(names, value=names[0], label="Model", info=_summary(names[0]), elem_id="model")
        model.change(lambda name: gr.Dropdown(info=_summary(name)), model, model, **QUICK)
        with gr.Accordion("Pitch, for models that need it", open=False):
            pitch = gr.File(
                label="A CSV: time_seconds, and a column for each source", file_types=[".csv"], height=110
            )
        with gr.Row():
            start = gr.Button("Separate", variant="primary", elem_id="separate", min_width=120)
            stop = gr.Button("Stop", elem_id="stop", min_width=80)
    return model, pitch, start, stop


def _summary(model: str) -> str:
    about = info(model)
    return f"{', '.join(about['sources'])}. {about['summary']}"


def _updates(given: Shown) -> list[Any]:
    """What a part of the page becomes; None leaves it as it is."""
    return [gr.skip() if part is None else part for part in given]


def _panels(do: Actions, song: gr.State, shared: list[gr.HTML]) -> None:
    """Has the sliders of each source made anew for each separation; `shared` is what a rendering changes above."""

    @gr.render(inputs=song, triggers=[song.change], show_progress="hidden")
    def show(key: tuple[str, int] | str) -> None:
        session = do.sessions.by_token(key[0]) if key else None
        if session is None or session.opened is None:
            return
        own = panels(session.opened)
        if not own:
            gr.HTML(do.told(UNEDITABLE))
            return
        values, pictures = [], []
        with gr.Tabs():
            for panel in own:
                with gr.Tab(panel.source, elem_id=f"source-{panel.source}"):
                    values += _panel(panel)
                    pictures.append(gr.HTML(curves(session.opened, panel.source)))
        _rendering(do, session, own, values, [*shared, *pictures])


def _rendering(
    do: Actions, session: Session, own: Sequence[Panel], values: list[Any], changed: list[gr.HTML]
) -> None:
    """The button that plays what was changed, and how."""
    sound = gr.Radio(
        list(SOUNDS),
        value=SOUNDS[0],
        label="How edits sound",
        info="synthesised: everything may change. filtered: the recorded stem, with level, timbre and decay changed.",
    )
    with gr.Row():
        button = gr.Button("Render", variant="primary", elem_id="render", min_width=120)
        stop = gr.Button("Stop", min_width=80)
    status = gr.HTML(do.told("Render plays the whole song with your changes."), elem_id="rendered")

    @button.click(inputs=[sound, *values], outputs=[status, *changed], **WORK)
    def render(how: str, *cells: Any) -> Any:
        for given in do.render(session, own, how, cells):
            yield _updates(given)

    stop.click(session.worker.stop, queue=False, **QUICK)


def _panel(panel: Panel) -> list[Any]:
    """The sliders of a source and the table of its notes, in the order in which a `Panel` reads them."""
    with gr.Row():
        values: list[Any] = [
            gr.Slider(
                low,
                high,
                value=usual,
                step=step,
                label=label,
                min_width=220,
                elem_id=f"{panel.source}-{verb}",
            )
            for verb, (low, high, usual, step, label) in VERBS.items()
        ]
    if panel.handles:
        gr.Markdown("Each of these moves a whole curve; it shows where the middle of the curve lies.")
        with gr.Row():
            values += [_slider(panel.source, handle) for handle in panel.handles]
    if panel.notes:
        values.append(
            gr.Dataframe(
                table.rows(panel.notes),
                headers=list(table.HEAD),
                datatype="number",
                type="array",
                interactive=True,
                label=f"Notes of {panel.source}: change cells, or add and delete rows in the menu of a cell",
                max_height=280,
                elem_id=f"{panel.source}-notes",
                elem_classes="notes",
                static_columns=[len(table.HEAD) - 1],
                column_limits=(len(table.HEAD), len(table.HEAD)),
            )
        )
    return values


def _slider(source: str, handle: Handle) -> gr.Slider:
    control, unit = handle.control, "" if handle.control.unit == "1" else f" ({handle.control.unit})"
    top = "" if control.role == "level" else f", {control.low:g} to {control.high:g}"
    return gr.Slider(
        handle.low,
        handle.high,
        value=handle.shown,
        step=handle.step,
        label=escape(f"{control.name}{unit}"),
        info=f"{control.text}{top}",
        min_width=220,
        elem_id=f"{source}-{control.name}",
    )
