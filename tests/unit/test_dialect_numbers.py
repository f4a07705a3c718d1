"""dialect.numbers: the table of Brazilian numbers, row by row, and what must never be called."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonista.dialect.numbers import NumeroInvalido, classify, e_servico

# The first text of a run builds Hypothesis's table of characters, which takes over a second.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("texto", "e164", "tipo", "classe"),
    [
        ("4832830151", "+554832830151", "fixo", "fixo"),
        ("11912341234", "+5511912341234", "movel", "movel"),
        ("+554832830151", "+554832830151", "fixo", "fixo"),
        ("+5511912341234", "+5511912341234", "movel", "movel"),
        ("5511912341234", "+5511912341234", "movel", "movel"),
        ("011912341234", "+5511912341234", "movel", "movel"),
        ("05511912341234", "+5511912341234", "movel", "movel"),
        ("01511912341234", "+5511912341234", "movel", "movel"),
        ("0154832830151", "+554832830151", "fixo", "fixo"),
        ("(11) 91234-1234", "+5511912341234", "movel", "movel"),
        ("+55 (48) 3283-0151", "+554832830151", "fixo", "fixo"),
        ("+55 (048) 3283.0151", "+554832830151", "fixo", "fixo"),
        ("1138765432", "+551138765432", "fixo", "fixo"),
        ("1155551234", "+551155551234", "fixo", "fixo"),
        ("5532201234", "+555532201234", "fixo", "fixo"),
        ("55912341234", "+5555912341234", "movel", "movel"),
        ("48983201510", "+5548983201510", "movel", "movel"),
        ("+5510999999999", "+5510999999999", "movel", "movel"),
        ("+5510888888888 ", None, "", ""),
        ("20912345678", "+5520912345678", "movel", "movel"),
        ("2333334444", "+552333334444", "fixo", "fixo"),
        ("08001234567", "+558001234567", "fixo", "0800"),
        ("8001234567", "+558001234567", "fixo", "0800"),
        ("0800123456", "+55800123456", "fixo", "0800"),
        ("03001234567", "+553001234567", "fixo", "0300"),
        ("03031234567", "+553031234567", "fixo", "0300"),
        ("3033334444", "+553033334444", "fixo", "0300"),
        ("40041234", "+5540041234", "fixo", "4004"),
        ("30031234", "+5530031234", "fixo", "4004"),
        ("1140041234", "+551140041234", "fixo", "4004"),
        ("100", None, "", ""),
        ("1052", None, "ramal", "ramal"),
        ("4000", None, "ramal", "ramal"),
        ("4001", None, "ramal", "ramal"),
        ("1000", None, "ramal", "ramal"),
        ("9999", None, "ramal", "ramal"),
        ("+14155552671", "+14155552671", "fixo", "internacional"),
        ("+1 (415) 555-2671", "+14155552671", "fixo", "internacional"),
        ("1030000001", "+551030000001", "fixo", "fixo"),
        ("10930000001", "+5510930000001", "movel", "movel"),
        ("551030000022", "+551030000022", "fixo", "fixo"),
    ],
)
def test_the_table(texto: str, e164: str | None, tipo: str, classe: str) -> None:
    if not tipo:
        with pytest.raises(NumeroInvalido):
            classify(texto)
        return
    numero = classify(texto)
    assert (numero.e164, numero.tipo, numero.classe, numero.original) == (e164, tipo, classe, texto.strip())


@pytest.mark.parametrize(
    ("texto", "word"),
    [
        ("1191234123", "acrescente o 9"),
        ("1181234567", "acrescente o 9"),
        ("1171234567", "DDD"),
        ("11812345678", "DDD"),
        ("38765432", "falta o DDD"),
        ("912341234", "falta o DDD"),
        ("0303123456", "DDD"),
        ("0014155552671", "informe +"),
        ("119123412345", "DDD"),
        ("abc", "só dígitos"),
        ("", "DDD"),
        ("  ", "DDD"),
        ("-", "DDD"),
        ("4", "DDD"),
        ("1234567", "DDD"),
        ("+", "só dígitos"),
        ("++5511912341234", "só dígitos"),
        ("11+912341234", "só dígitos"),
        ("٤٨٣٢٨٣٠١٥١", "só dígitos"),
        ("4000@evil", "só dígitos"),
        ("90151191234123", "a cobrar"),
        ("909032830151", "a cobrar"),
        ("+0123456789", "código do país"),
        ("+1415", "código do país"),
        ("+1234567890123456", "código do país"),
        ("0012", "informe +"),
    ],
)
def test_what_is_refused_says_what_to_do(texto: str, word: str) -> None:
    with pytest.raises(NumeroInvalido, match=word.replace("+", r"\+")):
        classify(texto)


@pytest.mark.parametrize("texto", ["190", "192", "193", "911", "112", "100", "135", "188", "0190", "+55190", "1-9-0"])
def test_services_are_never_called(texto: str) -> None:
    assert e_servico(texto)
    with pytest.raises(NumeroInvalido, match="emergência"):
        classify(texto)


def test_ordinary_numbers_are_no_services() -> None:
    assert not any(e_servico(texto) for texto in ("4000", "200", "1900", "4832830151", "11190", "", "+"))


@pytest.mark.parametrize(
    ("texto", "nacional"),
    [("+554832830151", "4832830151"), ("8001234567", "08001234567"), ("40041234", "40041234"), ("4000", None)],
)
def test_the_national_form(texto: str, nacional: str | None) -> None:
    assert classify(texto).nacional == nacional
    assert classify("+14155552671").nacional is None


@unhurried
@given(
    st.text() | st.from_regex(r"[0-9+() .-]{0,18}", fullmatch=True) | st.from_regex(r"\+?[0-9]{1,16}", fullmatch=True)
)
def test_nothing_else_is_ever_raised_and_the_form_is_stable(texto: str) -> None:
    try:
        numero = classify(texto)
    except NumeroInvalido:
        return
    if numero.e164 is None:
        assert numero.tipo == numero.classe == "ramal"
        return
    again = classify(numero.e164)
    assert (again.e164, again.tipo, again.classe) == (numero.e164, numero.tipo, numero.classe)
    assert 8 <= len(numero.e164) - 1 <= 15
    assert not e_servico(numero.e164)


@unhurried
@given(
    st.integers(10, 99),
    st.integers(20000000, 59999999),
    st.sampled_from(["", "0", "55", "+55", "+55 ", "0 55", "0 15 "]),
)
def test_a_fixed_line_is_one_number_however_it_is_written(ddd: int, local: int, prefix: str) -> None:
    numero = classify(f"{prefix}{ddd}{local}")
    assert numero.e164 == f"+55{ddd}{local}" and numero.tipo == "fixo"
