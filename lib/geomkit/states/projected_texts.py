"""Project rows of whole texts of a family's widest model on as many directions as each member has: their null for width."""

from collections.abc import Mapping, Sequence

import numpy as np

from geomkit.core.arrays import Array, rounding
from geomkit.core.variants import TRAINED
from geomkit.measures.projection import leading_columns
from geomkit.states.families import Member, incomparable
from geomkit.states.stream import states_type


def projected_texts(members: Sequence[Member], mode: str, layer: str, rows: str) -> Mapping[str, Array] | str:
    """Return for each member the widest model's rows (texts, d) on the leading d directions, normalised; or why there are none.

    rows: `last` or `mean`. Directions are those of the widest model's token vectors in this normalisation, of all documents: they
    are so many more than texts that hardly any rank is gained by their being those of the same texts. Of several widest models it
    is the first. At its own width the null is the model itself.
    """
    if mode == "raw":
        return "projected rows are normalised again, which raw rows are not"
    if reason := incomparable(members):
        return reason
    widths = {member.name: member.file.widths.get(member.state(layer), 0) for member in members}
    donor = max(members, key=lambda member: widths[member.name])
    if not all(widths.values()) or not donor.keeps_documents(TRAINED, mode, layer):
        return f"{donor.name} keeps no sums of documents, by which directions are known"
    cloud = donor.file.cloud(TRAINED, mode, donor.state(layer), rows)
    if cloud is None:
        return f"there is no cloud of {rows} rows"
    moment = np.sum([document.total for document in donor.documents(TRAINED, mode, layer)], axis=0)
    turned, whole = cloud @ np.linalg.eigh(moment)[1][:, ::-1], np.square(cloud).sum(axis=1)
    error = rounding(cloud, states_type(donor.file.attributes))
    return {name: leading_columns(turned, whole, width, mode, error)[0] for name, width in widths.items()}
