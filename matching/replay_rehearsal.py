"""Everything that ``jinsha replay`` has compiled for its files, called once before the work begins.

A progress bar and the line that says that something is being compiled do not go together on one screen.
"""

import io

from matching.rehearsal import announced
from matching.replay_csv import CsvReader, csv_bytes
from matching.replay_decimals import read_days, read_energy_lots, read_limit_lots_floor, read_price_ticks, write_energy
from matching.replay_names import NameTable, OrderIds


def rehearse_files() -> None:
    """Read, number and write one small table."""
    with announced("the reading of files"):
        (column,) = next(CsvReader(io.BytesIO(b'name\n1\n"o-""1"\nx\n')).batches(8))
        for read in (read_energy_lots, read_price_ticks, read_days):
            steps = read(column, bad=0, empty=0)
        read_limit_lots_floor(column, 15, bad=0, empty=0)
        names, order_ids = NameTable(map(str, range(1000))), OrderIds()
        names.find(column)
        column.to_arrow()
        csv_bytes([order_ids.texts(order_ids.number(column)), write_energy(steps)])
