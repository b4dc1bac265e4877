"""What the name of an array tells about it: an embedding, something else, or nothing.

A name is read by whole words, so that ``membership`` does not count as ``emb``. Used by
:mod:`l2cli.io.selection` and :mod:`l2cli.io.survey`; it knows nothing of files and formats.
"""

from __future__ import annotations

import re
from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EMBEDDING_NAMES = ("embedding", "embeddings", "emb", "vector", "vectors")
"""Names that say it all. They come before longer names with such a word in them."""

_EMBEDDING_WORDS = frozenset((*EMBEDDING_NAMES, "embs", "embed", "embeds", "vec", "vecs"))
_SEARCH_RESULTS = frozenset(("neighbors", "distances", "knns", "dists"))
_QUALIFIERS = _words(
    "base bf bfloat binary bit bits byte bytes d dim dims double f float fp half i int large map "
    "maps matrices matrix q quantized raw small u ubinary uint v x"
)
"""Words behind a noun that only say how it is stored: the noun is still what the name means."""

_OTHER_WORDS = _words(
    "bbox bboxes box boxes rect rects roi rois score scores prob probs proba probability "
    "probabilities confidence confidences logit logits price prices rating ratings lat lats lon "
    "lons lng lngs latitude longitude latlon latlng location locations loc coord coords coordinate "
    "coordinates xy xyz geo gps rgb rgba bgr color colors colour colours keypoint keypoints "
    "landmark landmarks polygon polygons quat quaternion quaternions rotation spatial umap "
    "tsne mel mels mfcc mfccs codebook codebooks centroid centroids loss losses"
)
"""Words of which one is enough, unless the name says that it is an embedding."""

_OTHER_NOUNS = _words(
    "angle angles area areas audio bias cov covariance corr count counts date depth dist distance "
    "gradient gradients height heights id ids image images img imgs index indices label labels "
    "length lengths mask masks max mean min neighbor norm norms offset offsets pixel pixels "
    "point points pose poses position positions rank ranks scale scales shape shapes similarities "
    "similarity size sizes spectrogram spectrograms std target targets time times timestamp "
    "timestamps var variance video waveform waveforms width widths"
)
"""Words that tell only as the noun of a name, its last word: ``image``, not ``image_features``."""

_TEXT_NOUNS = _words(
    "caption captions class classes file filename filenames files id ids key keys label labels "
    "meta metadata name names path paths tag tags text texts title titles token tokens uri uris "
    "url urls word words"
)


def words_of(name: str) -> list[str]:
    """Return the words of the last part of a path, in lower case: ``textEmb.0`` is text, emb."""
    last = name.rpartition("/")[2]
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", last)
    return re.findall(r"[a-z]+", apart.lower())


@lru_cache(maxsize=4096)
def is_exact(name: str) -> bool:
    """Whether the last part of ``name`` is one of :data:`EMBEDDING_NAMES`."""
    return name.rpartition("/")[2].lower() in EMBEDDING_NAMES


@lru_cache(maxsize=4096)
def mentions_embedding(name: str) -> bool:
    """Whether one of the words of ``name`` means an embedding."""
    return not _EMBEDDING_WORDS.isdisjoint(words_of(name))


@lru_cache(maxsize=4096)
def means_embedding(name: str) -> bool:
    """Whether ``name`` is that of an embedding: ``image_emb``, but not ``embedding_model``."""
    return _noun(name) in _EMBEDDING_WORDS


@lru_cache(maxsize=4096)
def means_other(name: str) -> str:
    """Return the word by which ``name`` is that of something else; empty for none."""
    noun = _noun(name)
    if noun in _OTHER_NOUNS or noun in _OTHER_WORDS:
        return noun
    words = words_of(name)
    if not _EMBEDDING_WORDS.isdisjoint(words):
        return ""
    return next((word for word in words if word in _OTHER_WORDS), "")


@lru_cache(maxsize=4096)
def means_search_result(name: str) -> bool:
    """Whether ``name`` is that of what a search found, as ground truth is called."""
    return name.rpartition("/")[2] in _SEARCH_RESULTS


def means_text(name: str) -> bool:
    """Whether ``name`` is that of words, names or numbers that identify the rows."""
    return _noun(name) in _TEXT_NOUNS


def _noun(name: str) -> str:
    """Return the word that says what a thing is, the last one: ``emb`` of ``img_emb_f16``."""
    words = words_of(name)
    while len(words) > 1 and words[-1] in _QUALIFIERS:
        words.pop()
    return words[-1] if words else ""
