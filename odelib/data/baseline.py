"""What a simple method reaches on the same data, to be printed beside the networks."""

from importlib.util import find_spec

from odelib.data import DataError, IntentData
from odelib.install import without

TF_IDF = "tf_idf_accuracy"
"""Name of the baseline's accuracy among the metrics of a run."""


def check_baseline() -> None:
    """Refuse early, before anything is trained, where scikit-learn is missing.

    Raises:
        DataError: It is.
    """
    if find_spec("sklearn") is None:
        raise DataError(without("scikit-learn", "text", "the baseline of clinc150"))


def tf_idf_accuracy(data: IntentData) -> float:
    """Share of the test requests that logistic regression on weighted word counts (TF-IDF) gets right.

    The regularisation (C = 10) is the best of 1, 10 and 100 on the validation requests; it takes some seconds.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=300))
    words.fit(data.train_texts, data.train_labels.numpy())
    return float(words.score(data.test_texts, data.test_labels.numpy()))
