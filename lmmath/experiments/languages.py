"""The price of a language: the same sentences in five languages, counted in tokens."""

import numpy as np

# Line by line the same five sentences, translated for this book.
SENTENCES = {
    "English": (
        "The cat sleeps on the warm stone because the sun is shining.",
        "My brother works in a small bakery near the station.",
        "Tomorrow it will rain in the mountains, so take a coat.",
        "She read the letter twice and put it back in the drawer.",
        "The children are playing by the river with an old ball.",
    ),
    "German": (
        "Die Katze schläft auf dem warmen Stein, weil die Sonne scheint.",
        "Mein Bruder arbeitet in einer kleinen Bäckerei in der Nähe des Bahnhofs.",
        "Morgen wird es in den Bergen regnen, also nimm einen Mantel mit.",
        "Sie las den Brief zweimal und legte ihn zurück in die Schublade.",
        "Die Kinder spielen am Fluss mit einem alten Ball.",
    ),
    "Greek": (
        "Η γάτα κοιμάται πάνω στη ζεστή πέτρα γιατί λάμπει ο ήλιος.",
        "Ο αδελφός μου δουλεύει σε έναν μικρό φούρνο κοντά στον σταθμό.",
        "Αύριο θα βρέξει στα βουνά, γι' αυτό πάρε ένα παλτό.",
        "Διάβασε το γράμμα δύο φορές και το έβαλε πίσω στο συρτάρι.",
        "Τα παιδιά παίζουν δίπλα στο ποτάμι με μια παλιά μπάλα.",
    ),
    "Hindi": (
        "बिल्ली गरम पत्थर पर सोती है क्योंकि धूप निकली है।",
        "मेरा भाई स्टेशन के पास एक छोटी बेकरी में काम करता है।",
        "कल पहाड़ों में बारिश होगी, इसलिए एक कोट ले लो।",
        "उसने पत्र दो बार पढ़ा और उसे वापस दराज में रख दिया।",
        "बच्चे नदी के किनारे एक पुरानी गेंद से खेल रहे हैं।",
    ),
    "Chinese": (
        "猫睡在温暖的石头上，因为阳光明媚。",
        "我哥哥在车站附近的一家小面包店工作。",
        "明天山里会下雨，所以带一件外套。",
        "她把信读了两遍，然后放回了抽屉。",
        "孩子们在河边玩一个旧球。",
    ),
}


def token_counts(tokenizer, sentences):
    """Count the tokens of each sentence in each language.

    Parameters
    ----------
    tokenizer : BPETokenizer
    sentences : dict of str to sequence of str
        As in ``SENTENCES``: the same ones in the same order.

    Returns
    -------
    dict of str to numpy.ndarray of int64, shape (n_sentences,)

    Examples
    --------
    >>> from lmmath.tokenization import BPETokenizer
    >>> token_counts(BPETokenizer([]), {"English": ["cat"], "German": ["Bär"]})
    {'English': array([3]), 'German': array([4])}
    """
    return {
        language: np.asarray([len(tokenizer.encode(sentence)) for sentence in own])
        for language, own in sentences.items()
    }
