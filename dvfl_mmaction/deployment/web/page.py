"""The page: its components, and what happens to a clip."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ...analysis.modulation.observer import View
from ...errors import UserError
from ..extras import import_extra
from ..live.segments import SegmentRule
from . import html
from .camera import CameraSession
from .limits import CheckedClip, Limits, check_clip, check_size
from .maps import draw_maps
from .model import LONG_S, WebModel, answer_clip, follow_clip

STATE_S = 3600  # a visitor's results and uploads are kept for so long
STREAM_EVERY_S = 0.1
SHOWN_CLASSES = 5
INTRODUCTION = (
    'Drop a video or record one with the camera. The page shows the most '
    'probable classes and where the model looks.'
)


@dataclass
class Page:
    """What the page shows.

    Attributes:
        models: One, or two side by side.
        limits: Of clips.
        examples: Paths of videos to choose from.
        jobs: Most visitors that are answered at the same time; others
            wait.
    """

    models: Sequence[WebModel]
    limits: Limits = field(default_factory=Limits)
    examples: Sequence[str] = ()
    jobs: int = 4

    @property
    def stages(self) -> list[int]:
        """The stages that all models have."""
        first, *others = [model.observer.stages for model in self.models]
        return [s for s in first if all(s in other for other in others)]

    @property
    def first_stage(self) -> int:
        """The stage that is shown first; the last ones are coarse."""
        return self.stages[(len(self.stages) - 1) // 2]

    def build(self):
        """Build the page, a ``gradio.Blocks``.

        Raises:
            UserError: If gradio is not installed.
        """
        gr = import_extra('gradio', 'web')
        title = ' and '.join(model.observer.name for model in self.models)
        causal = next((m for m in self.models if m.is_causal), None)
        with gr.Blocks(
            title=f'dvfl_mmaction: {title}',
            analytics_enabled=False,
            delete_cache=(STATE_S // 4, STATE_S),
        ) as blocks:
            gr.Markdown(f'## {title}\n{INTRODUCTION}')
            if causal is None:
                self._build_clip_part(gr)
            else:
                with gr.Tab('Clip'):
                    self._build_clip_part(gr)
                with gr.Tab('Live camera'):
                    self._build_camera_part(gr, causal)
        return blocks

    def _build_clip_part(self, gr):
        """The part for clips; ``gr`` is the module gradio."""
        views = gr.State(None, time_to_live=STATE_S)
        with gr.Row():
            with gr.Column(min_width=320):
                video = gr.Video(
                    label='Clip',
                    sources=['upload', 'webcam'],
                    height=300,
                    elem_id='clip',
                )
                gr.HTML(
                    html.note(
                        f'At most {self.limits.size_mb:g} MB, '
                        f'{self.limits.length_s:g} s and '
                        f'{self.limits.megapixels:g} megapixels.'
                    ),
                    padding=False,
                )
                if self.examples:
                    gr.Examples(
                        [[path] for path in self.examples],
                        video,
                        label='Examples',
                        cache_examples=False,
                        # Browsers do not play all codecs: no previews.
                        example_labels=[Path(p).stem for p in self.examples],
                    )
            with gr.Column(min_width=320):
                result = gr.HTML(elem_id='result', padding=False)
        timeline = gr.HTML(elem_id='timeline', padding=False)
        with gr.Column(visible=False, elem_id='modulators') as modulators:
            gr.Markdown(
                '### Where it looks\nMagnitude of the modulator of space, '
                'of that of time, and of their product, which weights the '
                'features. Bright is large; the scale is the same for all '
                'frames.'
            )
            with gr.Row():
                stage = gr.Radio(
                    self.stages,
                    value=self.first_stage,
                    label='Stage',
                    elem_id='stage',
                )
                frame = gr.Slider(
                    1, 8, 1, step=1, label='Frame', elem_id='frame'
                )
            with gr.Row():
                pictures = [
                    gr.Image(
                        label=model.observer.name,
                        show_label=False,
                        format='webp',
                        interactive=False,
                        buttons=['fullscreen'],
                        min_width=300,
                        elem_classes='maps',
                    )
                    for model in self.models
                ]
        draw = dict(
            fn=self.redraw,
            inputs=[views, stage, frame],
            outputs=pictures,
            concurrency_limit=None,
            show_progress='hidden',
            trigger_mode='always_last',
            api_visibility='private',
        )
        video.change(
            partial(self.classify, gr.update),
            [video, stage],
            [result, timeline, views, modulators, frame, *pictures],
            concurrency_limit=self.jobs,
            show_progress='hidden',
            trigger_mode='always_last',
            api_visibility='private',
        )
        gr.on([stage.input, frame.input], **draw)

    def _build_camera_part(self, gr, model: WebModel):
        session = gr.State(None, time_to_live=STATE_S)
        with gr.Row():
            camera = gr.Image(
                label='Camera',
                sources=['webcam'],
                streaming=True,
                type='numpy',
                height=320,
                elem_id='camera',
                min_width=320,
            )
            with gr.Column(min_width=320):
                answer = gr.HTML(
                    html.note('Start the camera to see its classes.'),
                    elem_id='live',
                    padding=False,
                )
        camera.stream(
            partial(self.classify_frame, model),
            [camera, session],
            [answer, session],
            stream_every=STREAM_EVERY_S,
            time_limit=STATE_S,
            concurrency_limit=self.jobs,
            show_progress='hidden',
            api_visibility='private',
        )

    def classify(
        self, update: Callable, path: str | None, stage: int
    ) -> Iterator[tuple]:
        """Answer a clip step by step.

        Args:
            update: ``gradio.update``.
            path: The clip; None removes the results.
            stage: Whose modulators are drawn.

        Yields:
            Result, timeline, views, whether the modulators are visible,
            slider, and a picture per model.
        """
        blank = [None] * len(self.models)
        hidden = (None, update(visible=False), update(value=1), *blank)
        if path is None:
            yield ('', '', *hidden)
            return
        try:
            yield (html.note('Reading the clip …'), '', *hidden)
            clip = check_clip(path, self.limits)
            answers = [answer_clip(model, clip) for model in self.models]
        except UserError as error:
            yield (html.problem(str(error)), '', *hidden)
            return
        sections = [
            html.bars(
                model.observer.name,
                answer.scores,
                model.name_of,
                SHOWN_CLASSES,
                f'read in {answer.read_s:.2f} s, predicted in '
                f'{answer.predict_s:.2f} s',
            )
            for model, answer in zip(self.models, answers, strict=True)
        ]
        views = [answer.view for answer in answers]
        steps = max(len(view.frames) for view in views)
        shown = update(maximum=steps, value=1)
        yield (
            html.side_by_side(sections),
            '',
            views,
            update(visible=True),
            shown,
            *self.draw(views, stage, 1),
        )
        if clip.length_s >= LONG_S:
            keep = [update()] * (3 + len(self.models))
            for text in self.timelines(clip):
                yield (update(), text, update(), *keep[1:])

    def timelines(self, clip: CheckedClip) -> Iterator[str]:
        """Yield the timelines of all models, as far as they are."""
        done = []
        for model in self.models:
            name = f'Timeline, {model.observer.name}'
            if model.classifier is None:
                done.append(html.note(f'No timeline: {model.reason}'))
                continue
            text = ''
            try:
                for found in follow_clip(model, clip, SegmentRule()):
                    text = html.timeline(name, found, model.name_of)
                    yield html.side_by_side([*done, text])
            except UserError as error:
                text = html.problem(str(error))
            done.append(text)
        yield html.side_by_side(done)

    def draw(self, views: list[View] | None, stage: int, step: int) -> list:
        """Draw the modulators of all models.

        Args:
            views: Of the models; None before the first clip.
            stage: Number of the stage, from 1.
            step: Number of the time step, from 1; a model with fewer steps
                shows the one at the same share of the clip.
        """
        if views is None:
            return [None] * len(self.models)
        steps = max(len(view.frames) for view in views)
        return [draw_maps(view, stage, (step - 1) / steps) for view in views]

    def redraw(self, views: list[View] | None, stage: int, step: int):
        """:meth:`draw` for gradio, which takes no list for one output."""
        pictures = self.draw(views, stage, step)
        return pictures if len(pictures) > 1 else pictures[0]

    def classify_frame(
        self, model: WebModel, image, session: CameraSession | None
    ) -> tuple[str, CameraSession | None]:
        """Answer a frame of a visitor's camera."""
        if image is None:
            return html.note('The camera is off.'), session
        height, width = image.shape[:2]
        try:
            check_size('the camera', width, height, self.limits)
        except UserError as error:
            return html.problem(str(error)), session
        session = session or CameraSession(model.classifier)
        scores = session.take(image)
        text = (
            f'{session.rate:.1f} frames/s, {1000 * session.classify_s:.0f} '
            'ms per frame'
        )
        section = html.bars(
            model.observer.name, scores, model.name_of, SHOWN_CLASSES, text
        )
        return html.side_by_side([section]), session
