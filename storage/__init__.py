"""Where state is kept: SQL, objects, archives of trees. Each package implements ports of `domain.contracts`.

Apart from the handlers so that they never see a driver, a key or a path. Nothing here imports `workers` or
`handlers`, and only the composition root imports this.
"""
