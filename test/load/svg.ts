// The few shapes that the chart is made of.
export const INK = '#1f2328'
export const MUTED = '#59636e'
export const LINE = '#d1d9e0'

export function escape(content: string) {
  return content.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`)
}

const place = (value: number) => String(Math.round(value * 100) / 100)

interface TextOptions {
  size?: number
  fill?: string
  weight?: number
  anchor?: 'start' | 'middle' | 'end'
}

export function text(x: number, y: number, content: string, options: TextOptions = {}) {
  const { size = 12, fill = MUTED, weight = 400, anchor = 'start' } = options
  const look = `font-size="${size}" fill="${fill}" font-weight="${weight}" text-anchor="${anchor}"`
  return `<text x="${place(x)}" y="${place(y)}" ${look}>${escape(content)}</text>`
}

export function rect(x: number, y: number, width: number, height: number, fill: string) {
  return `<rect x="${place(x)}" y="${place(y)}" width="${place(width)}" height="${place(height)}" fill="${fill}"/>`
}

export function line(x1: number, y1: number, x2: number, y2: number, stroke = LINE, dashes = 'none') {
  return (
    `<path d="M${place(x1)} ${place(y1)}L${place(x2)} ${place(y2)}" stroke="${stroke}" stroke-dasharray="${dashes}" ` +
    'fill="none"/>'
  )
}

/** Round numbers from 0 to at least `most`, four steps or so. */
export function ticks(most: number) {
  const rough = Math.max(most, 1) / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(value => value >= rough) ?? rough
  return Array.from({ length: Math.ceil(Math.max(most, 1) / step) + 1 }, (_, index) => index * step)
}

/** Middles for labels of these widths, as near to where they are wanted as they can be without touching. */
export function spread(wanted: readonly { middle: number; width: number }[], from: number, to: number) {
  const middles: number[] = []
  let edge = from
  for (const { middle, width } of wanted) {
    middles.push(Math.max(middle, edge + width / 2))
    edge = Math.max(middle, edge + width / 2) + width / 2
  }
  edge = to
  for (const [index, { width }] of [...wanted.entries()].toReversed()) {
    middles[index] = Math.min(middles[index] ?? edge, edge - width / 2)
    edge = (middles[index] ?? edge) - width / 2
  }
  return middles
}
