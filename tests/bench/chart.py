"""A small SVG plot of time against number, both axes logarithmic."""
import math

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 640, 400, 70, 50, 150, 30
STYLE = ("text{font:13px sans-serif;fill:#333}.grid{stroke:#ddd}.ours{stroke:#0a6;fill:none;stroke-width:2}"
         ".theirs{stroke:#a40;fill:none;stroke-width:2;stroke-dasharray:6 4}")


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


def draw(title, below, series):
    """`series`: two pairs of a name and its list of (number, seconds); virt-rules first."""
    axes = Axes(series)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">', f"<style>{STYLE}</style>",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', f'<text x="{LEFT}" y="18">{title}</text>']
    out += axes.grid()
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{below}</text>')
    for (name, line), style in zip(series, ("ours", "theirs")):
        places = [axes.place(*point) for point in line]
        out.append(f'<polyline class="{style}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
        out.append(f'<text x="{places[-1][0] + 8:.1f}" y="{places[-1][1] + 4:.1f}">{name}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"
