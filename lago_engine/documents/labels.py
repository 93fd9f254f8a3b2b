"""The words of the documents in every supported language; one table, checked for gaps by its type."""

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
    credit_note_title: str
    document_number: str
    coupons: str
    credited: str
    refunded: str
    offset_on: str
    total_credited: str
    receipt: str
    paid_on: str
    payment_method: str
    manual_payment: str
    payment_reference: str
    amount_paid: str


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
    credit_note_title="Credit note",
    document_number="Number",
    coupons="Coupons",
    credited="Credited to future invoices",
    refunded="Refunded",
    offset_on="Deducted from invoice {name}",
    total_credited="Total credited",
    receipt="Receipt",
    paid_on="Payment date",
    payment_method="Payment method",
    manual_payment="Bank transfer or other",
    payment_reference="Payment reference",
    amount_paid="Amount paid",
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
    credit_note_title="Avoir",
    document_number="Numéro",
    coupons="Coupons",
    credited="Crédité sur les prochaines factures",
    refunded="Remboursé",
    offset_on="Déduit de la facture {name}",
    total_credited="Total crédité",
    receipt="Reçu",
    paid_on="Date de paiement",
    payment_method="Moyen de paiement",
    manual_payment="Virement ou autre",
    payment_reference="Référence de paiement",
    amount_paid="Montant payé",
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
    credit_note_title="Rechnungskorrektur",
    document_number="Nummer",
    coupons="Gutscheine",
    credited="Guthaben für künftige Rechnungen",
    refunded="Erstattet",
    offset_on="Abgezogen von Rechnung {name}",
    total_credited="Gutgeschriebener Betrag",
    receipt="Zahlungsbeleg",
    paid_on="Zahlungsdatum",
    payment_method="Zahlungsart",
    manual_payment="Überweisung oder andere",
    payment_reference="Zahlungsreferenz",
    amount_paid="Gezahlter Betrag",
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
    credit_note_title="Nota de crédito",
    document_number="Número",
    coupons="Cupones",
    credited="Abonado para próximas facturas",
    refunded="Reembolsado",
    offset_on="Deducido de la factura {name}",
    total_credited="Total abonado",
    receipt="Recibo",
    paid_on="Fecha de pago",
    payment_method="Método de pago",
    manual_payment="Transferencia u otro",
    payment_reference="Referencia de pago",
    amount_paid="Importe pagado",
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
    credit_note_title="Nota di credito",
    document_number="Numero",
    coupons="Coupon",
    credited="Accreditato sulle prossime fatture",
    refunded="Rimborsato",
    offset_on="Detratto dalla fattura {name}",
    total_credited="Totale accreditato",
    receipt="Ricevuta",
    paid_on="Data di pagamento",
    payment_method="Metodo di pagamento",
    manual_payment="Bonifico o altro",
    payment_reference="Riferimento del pagamento",
    amount_paid="Importo pagato",
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
    credit_note_title="Nota de crédito",
    document_number="Número",
    coupons="Cupons",
    credited="Creditado em próximas faturas",
    refunded="Reembolsado",
    offset_on="Deduzido da fatura {name}",
    total_credited="Total creditado",
    receipt="Recibo",
    paid_on="Data do pagamento",
    payment_method="Forma de pagamento",
    manual_payment="Transferência ou outra",
    payment_reference="Referência do pagamento",
    amount_paid="Valor pago",
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
    credit_note_title="Kreditnota",
    document_number="Nummer",
    coupons="Kuponger",
    credited="Godskrevet fremtidige fakturaer",
    refunded="Refundert",
    offset_on="Trukket fra faktura {name}",
    total_credited="Sum kreditert",
    receipt="Kvittering",
    paid_on="Betalingsdato",
    payment_method="Betalingsmåte",
    manual_payment="Bankoverføring eller annet",
    payment_reference="Betalingsreferanse",
    amount_paid="Betalt beløp",
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
    credit_note_title="Kreditfaktura",
    document_number="Nummer",
    coupons="Kuponger",
    credited="Tillgodo på kommande fakturor",
    refunded="Återbetalt",
    offset_on="Avdraget från faktura {name}",
    total_credited="Summa krediterat",
    receipt="Kvitto",
    paid_on="Betalningsdatum",
    payment_method="Betalningssätt",
    manual_payment="Banköverföring eller annat",
    payment_reference="Betalningsreferens",
    amount_paid="Betalt belopp",
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
