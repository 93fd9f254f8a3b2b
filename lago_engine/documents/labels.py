"""The words of an invoice in every supported language; one table, checked for gaps by its type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one language. `{name}`, `{rate}`, `{base}`, `{page}` and `{pages}` are filled in."""

    invoice: str
    tax_invoice: str
    prepaid_credit_invoice: str
    self_billing_invoice: str
    draft: str
    voided: str
    seller: str
    buyer: str
    tax_id: str
    register_number: str
    number: str
    issued_on: str
    due_on: str
    period: str
    purchase_order: str
    item: str
    units: str
    unit_price: str
    tax_rate: str
    amount: str
    group_subtotal: str
    true_up: str
    minimum_commitment: str
    fees: str
    coupon: str
    progressive_credit: str
    subtotal_excluding_tax: str
    tax_on: str
    tax_total: str
    subtotal_including_tax: str
    credit_note: str
    prepaid_credits: str
    total: str
    paid: str
    offset: str
    due: str
    page: str


def labels_for(locale: str | None) -> tuple[str, Labels]:
    """The locale a document is written in and its words.

    English stands in for a locale without a table (zh-TW: the embedded fonts have no such glyphs).
    """
    chosen = locale if locale is not None and locale in LABELS else DEFAULT_LOCALE
    return chosen, LABELS[chosen]


DEFAULT_LOCALE: Final = "en"

_EN = Labels(
    invoice="Invoice",
    tax_invoice="Tax invoice",
    prepaid_credit_invoice="Prepaid credit invoice",
    self_billing_invoice="Self-billing invoice",
    draft="Draft",
    voided="Voided",
    seller="From",
    buyer="Bill to",
    tax_id="Tax ID",
    register_number="Company number",
    number="Invoice number",
    issued_on="Issue date",
    due_on="Due date",
    period="Billing period",
    purchase_order="Purchase order",
    item="Item",
    units="Units",
    unit_price="Unit price",
    tax_rate="Tax",
    amount="Amount",
    group_subtotal="Subtotal",
    true_up="{name} – minimum spend",
    minimum_commitment="{name} – minimum commitment",
    fees="Fees",
    coupon="Coupon {name}",
    progressive_credit="Already billed on invoice {name}",
    subtotal_excluding_tax="Subtotal excluding tax",
    tax_on="{name} ({rate} on {base})",
    tax_total="Total tax",
    subtotal_including_tax="Subtotal including tax",
    credit_note="Credit note {name}",
    prepaid_credits="Prepaid credits",
    total="Total",
    paid="Paid",
    offset="Offset by credit notes",
    due="Total due",
    page="Page {page} of {pages}",
)

_FR = Labels(
    invoice="Facture",
    tax_invoice="Facture fiscale",
    prepaid_credit_invoice="Facture de crédits prépayés",
    self_billing_invoice="Facture – Autofacturation",
    draft="Brouillon",
    voided="Annulée",
    seller="De",
    buyer="Facturé à",
    tax_id="N° TVA",
    register_number="N° d’immatriculation",
    number="Numéro de facture",
    issued_on="Date d’émission",
    due_on="Date d’échéance",
    period="Période",
    purchase_order="Bon de commande",
    item="Désignation",
    units="Quantité",
    unit_price="Prix unitaire",
    tax_rate="Taxe",
    amount="Montant",
    group_subtotal="Sous-total",
    true_up="{name} – minimum de consommation",
    minimum_commitment="{name} – engagement minimum",
    fees="Frais",
    coupon="Coupon {name}",
    progressive_credit="Déjà facturé sur la facture {name}",
    subtotal_excluding_tax="Sous-total HT",
    tax_on="{name} ({rate} sur {base})",
    tax_total="Total des taxes",
    subtotal_including_tax="Sous-total TTC",
    credit_note="Avoir {name}",
    prepaid_credits="Crédits prépayés",
    total="Total TTC",
    paid="Payé",
    offset="Compensé par avoirs",
    due="Total à payer",
    page="Page {page} sur {pages}",
)

_DE = Labels(
    invoice="Rechnung",
    tax_invoice="Steuerrechnung",
    prepaid_credit_invoice="Rechnung über Prepaid-Guthaben",
    # § 14 (4) no. 10 UStG asks for this very word.
    self_billing_invoice="Gutschrift",
    draft="Entwurf",
    voided="Storniert",
    seller="Rechnungssteller",
    buyer="Rechnungsempfänger",
    tax_id="USt-IdNr.",
    register_number="Registernummer",
    number="Rechnungsnummer",
    issued_on="Rechnungsdatum",
    due_on="Fällig am",
    period="Leistungszeitraum",
    purchase_order="Bestellnummer",
    item="Position",
    units="Menge",
    unit_price="Einzelpreis",
    tax_rate="Steuer",
    amount="Betrag",
    group_subtotal="Zwischensumme",
    true_up="{name} – Mindestumsatz",
    minimum_commitment="{name} – Mindestabnahme",
    fees="Gebühren",
    coupon="Gutschein {name}",
    progressive_credit="Bereits abgerechnet mit Rechnung {name}",
    subtotal_excluding_tax="Zwischensumme netto",
    tax_on="{name} ({rate} auf {base})",
    tax_total="Steuern gesamt",
    subtotal_including_tax="Zwischensumme brutto",
    credit_note="Rechnungskorrektur {name}",
    prepaid_credits="Prepaid-Guthaben",
    total="Gesamtbetrag",
    paid="Bezahlt",
    offset="Verrechnet mit Rechnungskorrekturen",
    due="Zu zahlender Betrag",
    page="Seite {page} von {pages}",
)

_ES = Labels(
    invoice="Factura",
    tax_invoice="Factura fiscal",
    prepaid_credit_invoice="Factura de créditos prepagados",
    self_billing_invoice="Facturación por el destinatario",
    draft="Borrador",
    voided="Anulada",
    seller="De",
    buyer="Facturar a",
    tax_id="NIF/IVA",
    register_number="Número de registro",
    number="Número de factura",
    issued_on="Fecha de emisión",
    due_on="Fecha de vencimiento",
    period="Período",
    purchase_order="Orden de compra",
    item="Concepto",
    units="Unidades",
    unit_price="Precio unitario",
    tax_rate="Impuesto",
    amount="Importe",
    group_subtotal="Subtotal",
    true_up="{name} – consumo mínimo",
    minimum_commitment="{name} – compromiso mínimo",
    fees="Cargos",
    coupon="Cupón {name}",
    progressive_credit="Ya facturado en la factura {name}",
    subtotal_excluding_tax="Subtotal sin impuestos",
    tax_on="{name} ({rate} sobre {base})",
    tax_total="Total de impuestos",
    subtotal_including_tax="Subtotal con impuestos",
    credit_note="Nota de crédito {name}",
    prepaid_credits="Créditos prepagados",
    total="Total",
    paid="Pagado",
    offset="Compensado con notas de crédito",
    due="Total a pagar",
    page="Página {page} de {pages}",
)

_IT = Labels(
    invoice="Fattura",
    tax_invoice="Fattura fiscale",
    prepaid_credit_invoice="Fattura per crediti prepagati",
    self_billing_invoice="Fattura – Autofatturazione",
    draft="Bozza",
    voided="Annullata",
    seller="Da",
    buyer="Fatturare a",
    tax_id="Partita IVA",
    register_number="Numero di registro",
    number="Numero fattura",
    issued_on="Data di emissione",
    due_on="Data di scadenza",
    period="Periodo",
    purchase_order="Ordine di acquisto",
    item="Descrizione",
    units="Unità",
    unit_price="Prezzo unitario",
    tax_rate="Imposta",
    amount="Importo",
    group_subtotal="Subtotale",
    true_up="{name} – consumo minimo",
    minimum_commitment="{name} – impegno minimo",
    fees="Corrispettivi",
    coupon="Coupon {name}",
    progressive_credit="Già fatturato con la fattura {name}",
    subtotal_excluding_tax="Subtotale al netto delle imposte",
    tax_on="{name} ({rate} su {base})",
    tax_total="Totale imposte",
    subtotal_including_tax="Subtotale al lordo delle imposte",
    credit_note="Nota di credito {name}",
    prepaid_credits="Crediti prepagati",
    total="Totale",
    paid="Pagato",
    offset="Compensato con note di credito",
    due="Totale da pagare",
    page="Pagina {page} di {pages}",
)

_PT_BR = Labels(
    invoice="Fatura",
    tax_invoice="Fatura fiscal",
    prepaid_credit_invoice="Fatura de créditos pré-pagos",
    self_billing_invoice="Fatura – Autofaturamento",
    draft="Rascunho",
    voided="Anulada",
    seller="De",
    buyer="Cobrar de",
    tax_id="CNPJ/CPF",
    register_number="Número de registro",
    number="Número da fatura",
    issued_on="Data de emissão",
    due_on="Data de vencimento",
    period="Período",
    purchase_order="Pedido de compra",
    item="Item",
    units="Unidades",
    unit_price="Preço unitário",
    tax_rate="Imposto",
    amount="Valor",
    group_subtotal="Subtotal",
    true_up="{name} – consumo mínimo",
    minimum_commitment="{name} – compromisso mínimo",
    fees="Cobranças",
    coupon="Cupom {name}",
    progressive_credit="Já cobrado na fatura {name}",
    subtotal_excluding_tax="Subtotal sem impostos",
    tax_on="{name} ({rate} sobre {base})",
    tax_total="Total de impostos",
    subtotal_including_tax="Subtotal com impostos",
    credit_note="Nota de crédito {name}",
    prepaid_credits="Créditos pré-pagos",
    total="Total",
    paid="Pago",
    offset="Compensado com notas de crédito",
    due="Total a pagar",
    page="Página {page} de {pages}",
)

_NB = Labels(
    invoice="Faktura",
    tax_invoice="Avgiftsfaktura",
    prepaid_credit_invoice="Faktura for forhåndsbetalt kreditt",
    self_billing_invoice="Faktura – utstedt av kjøper",
    draft="Utkast",
    voided="Annullert",
    seller="Fra",
    buyer="Faktureres til",
    tax_id="MVA-nummer",
    register_number="Organisasjonsnummer",
    number="Fakturanummer",
    issued_on="Fakturadato",
    due_on="Forfallsdato",
    period="Periode",
    purchase_order="Innkjøpsordre",
    item="Beskrivelse",
    units="Antall",
    unit_price="Enhetspris",
    tax_rate="Avgift",
    amount="Beløp",
    group_subtotal="Delsum",
    true_up="{name} – minsteforbruk",
    minimum_commitment="{name} – minsteforpliktelse",
    fees="Gebyrer",
    coupon="Kupong {name}",
    progressive_credit="Allerede fakturert på faktura {name}",
    subtotal_excluding_tax="Delsum uten avgift",
    tax_on="{name} ({rate} av {base})",
    tax_total="Sum avgifter",
    subtotal_including_tax="Delsum med avgift",
    credit_note="Kreditnota {name}",
    prepaid_credits="Forhåndsbetalt kreditt",
    total="Totalt",
    paid="Betalt",
    offset="Motregnet med kreditnotaer",
    due="Å betale",
    page="Side {page} av {pages}",
)

_SV = Labels(
    invoice="Faktura",
    tax_invoice="Skattefaktura",
    prepaid_credit_invoice="Faktura för förbetalda krediter",
    self_billing_invoice="Faktura – självfakturering",
    draft="Utkast",
    voided="Makulerad",
    seller="Från",
    buyer="Faktureras till",
    tax_id="Momsnummer",
    register_number="Organisationsnummer",
    number="Fakturanummer",
    issued_on="Fakturadatum",
    due_on="Förfallodatum",
    period="Period",
    purchase_order="Inköpsorder",
    item="Beskrivning",
    units="Antal",
    unit_price="À-pris",
    tax_rate="Skatt",
    amount="Belopp",
    group_subtotal="Delsumma",
    true_up="{name} – minimiförbrukning",
    minimum_commitment="{name} – minimiåtagande",
    fees="Avgifter",
    coupon="Kupong {name}",
    progressive_credit="Redan fakturerat på faktura {name}",
    subtotal_excluding_tax="Delsumma exklusive skatt",
    tax_on="{name} ({rate} på {base})",
    tax_total="Summa skatt",
    subtotal_including_tax="Delsumma inklusive skatt",
    credit_note="Kreditnota {name}",
    prepaid_credits="Förbetalda krediter",
    total="Totalt",
    paid="Betalt",
    offset="Kvittat mot kreditnotor",
    due="Att betala",
    page="Sida {page} av {pages}",
)

LABELS: Final[Mapping[str, Labels]] = MappingProxyType(
    {
        "en": _EN,
        "fr": _FR,
        "de": _DE,
        "es": _ES,
        "it": _IT,
        "pt-BR": _PT_BR,
        "nb": _NB,
        "sv": _SV,
    }
)
"""Document locale → its words."""
