"""What every figure has to keep."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from geomkit.figures.style import WIDTH


def check_column(figure: Figure) -> None:
    """It is a column wide, with text of five points or more, inside it."""
    assert figure.get_figwidth() == WIDTH
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 5
    boxes = [figure.get_tightbbox()]
    boxes += [legend.get_window_extent().transformed(figure.dpi_scale_trans.inverted()) for legend in figure.findobj(Legend)]
    for box in boxes:
        assert (box.min > -0.02).all()
        assert (box.max < figure.get_size_inches() + 0.02).all()
