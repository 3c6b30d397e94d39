"""A small SVG plot of time against number, both axes logarithmic."""
import math
import textwrap
import xml.sax.saxutils

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 760, 450, 90, 60, 160, 76
LINE_HEIGHT = 18
STYLE = ("text{font:13px sans-serif;fill:#333}.title{font-size:18px;font-weight:600}.about{font-size:11px;fill:#666}"
         ".grid{stroke:#ddd}.ours{stroke:#067a4b;fill:none;stroke-width:2}"
         ".theirs{stroke:#a40;fill:none;stroke-width:2;stroke-dasharray:6 4}.point{stroke-dasharray:none;stroke-width:1}"
         ".ours.point{fill:#067a4b}.theirs.point{fill:#a40}.name{font-weight:600}.ours-name{fill:#067a4b}"
         ".theirs-name{fill:#a40}")


def decades(values):
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def seconds_text(exponent):
    return f"{10 ** exponent:g} s" if exponent >= 0 else f"{10 ** (exponent + 3):g} ms"


class Axes:
    def __init__(self, series):
        points = [point for _, line in series for point in line]
        self.x, self.y = decades([p[0] for p in points]), decades([p[1] for p in points])

    def place(self, x, y):
        across = (math.log10(x) - self.x[0]) / max(1, self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / max(1, self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    def grid(self):
        for e in range(self.x[0], self.x[1] + 1):
            x, y = self.place(10 ** e, 10 ** self.y[0])
            yield f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10 ** e:,}</text>'
        for e in range(self.y[0], self.y[1] + 1):
            x, y = self.place(10 ** self.x[0], 10 ** e)
            yield f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
            yield f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{seconds_text(e)}</text>'


def apart(heights):
    """Heights of labels, moved so that none covers another; in the same order."""
    moved = list(heights)
    order = sorted(range(len(moved)), key=lambda i: moved[i])
    for lower, upper in zip(order, order[1:]):
        moved[upper] = max(moved[upper], moved[lower] + LINE_HEIGHT)
    return moved


def draw(title, about, below, series):
    """`series`: two pairs of a name and its list of (number, seconds); virt-rules first."""
    axes = Axes(series)
    title, below = map(xml.sax.saxutils.escape, (title, below))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">', f"<style>{STYLE}</style>",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', f'<text class="title" x="{LEFT}" y="28">{title}</text>']
    out += [f'<text class="about" x="{LEFT}" y="{48 + 14 * row}">{xml.sax.saxutils.escape(line)}</text>'
            for row, line in enumerate(textwrap.wrap(about, 96))]
    out += axes.grid()
    out += [f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{below} (logarithmic)</text>',
            f'<text x="20" y="{middle}" text-anchor="middle" transform="rotate(-90 20 {middle})">CPU time (logarithmic)</text>']
    lines = [[axes.place(*point) for point in line] for _, line in series]
    heights = apart([places[-1][1] for places in lines])
    for (name, _), places, style, height in zip(series, lines, ("ours", "theirs"), heights):
        out.append(f'<polyline class="{style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        out += [f'<circle class="{style} point" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places]
        out.append(f'<text class="name {style}-name" x="{places[-1][0] + 10:.1f}" y="{height + 4:.1f}">'
                   f"{xml.sax.saxutils.escape(name)}</text>")
    return "\n".join(out + ["</svg>"]) + "\n"
