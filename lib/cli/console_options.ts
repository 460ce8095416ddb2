// The words of a console, the same on the server and from another machine.
export const CONSOLE_OPTIONS = {
  'remote-shell': { help: 'attach to the running node (it must have a name) instead of starting a second one' },
}
