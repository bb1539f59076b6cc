def report(rows, cells, docs):
    pass
