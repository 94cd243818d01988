"""Charts: a Vega-Lite specification of the kit filled with rows, drawn outside the service as PNG and SVG.

Specifications are templates like any other: colours, sizes and words are theirs. What is written beside a bar
comes ready-made in the rows, so that a picture can never round otherwise than the text.
"""

from connector.charts.draw import Picture, draw
from connector.charts.spec import Chart, check_specs

__all__ = ["Chart", "Picture", "check_specs", "draw"]
