// The memory of njs that nginx's workers share, for a test that runs a file of nginx/ by itself.

export class Zone extends Map<string, string | number> {
  add(key: string, value: string) {
    if (!this.has(key)) this.set(key, value)
  }
  incr(key: string, by: number, first: number) {
    const value = Number(this.get(key) ?? first) + by
    this.set(key, value)
    return value
  }
  override keys() {
    return [...super.keys()] as unknown as MapIterator<string>
  }
}
