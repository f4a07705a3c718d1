"""HTML made of calls: what is not markup already is escaped, wherever it stands."""

from telefonista.chamada.markup import Markup, join, tag, trusted, void


def test_text_is_escaped() -> None:
    assert tag("p", "<b>&\"'") == "<p>&lt;b&gt;&amp;&quot;&#x27;</p>"
    assert tag("p", tag("b", "x"), " & y") == "<p><b>x</b> &amp; y</p>"
    assert join(["<", tag("i"), ">"]) == "&lt;<i></i>&gt;"
    assert trusted("<b>") == "<b>"


def test_attributes() -> None:
    assert tag("a", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;"></a>'
    assert tag("rect", x=1.5, class_="a b", aria_label="x", y=2, none=None) == (
        '<rect x="1.5" class="a b" aria-label="x" y="2"></rect>'
    )
    assert void("input", disabled=True, checked=False) == "<input disabled>"


def test_a_text_put_together_is_no_markup() -> None:
    assert not isinstance(Markup("<b>") + "<i>", Markup)
    assert tag("p", f"{tag('b')}<i>") == "<p>&lt;b&gt;&lt;/b&gt;&lt;i&gt;</p>", "rather shown than run"
