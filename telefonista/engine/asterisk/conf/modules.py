"""The list of modules the engine loads (autoload would take three times as long and log 393 complaints)."""

from telefonista.engine.asterisk.tree import EngineTree, InstallError

GROUPS = {
    "configuration, time, keys": """
        res_sorcery_config res_sorcery_memory res_sorcery_astdb res_timing_timerfd res_crypto res_http_websocket
        res_websocket_client""",
    "stasis": """
        res_stasis res_stasis_answer res_stasis_device_state res_stasis_playback res_stasis_recording res_stasis_snoop
        app_stasis""",
    "ARI": """
        res_ari res_ari_model res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels
        res_ari_device_states res_ari_endpoints res_ari_events res_ari_playbacks res_ari_recordings""",
    "SIP and RTP": """
        res_pjproject res_pjsip res_pjsip_session res_pjsip_sdp_rtp res_pjsip_authenticator_digest
        res_pjsip_outbound_authenticator_digest res_pjsip_outbound_registration res_pjsip_endpoint_identifier_user
        res_pjsip_endpoint_identifier_ip res_pjsip_registrar res_pjsip_path res_pjsip_nat res_pjsip_acl
        res_pjsip_caller_id res_pjsip_rfc3326 res_pjsip_dtmf_info res_pjsip_header_funcs res_pjsip_dlg_options
        res_pjsip_pubsub res_pjsip_refer res_pjsip_transport_websocket res_pjsip_logger chan_pjsip res_rtp_asterisk
        res_srtp res_format_attr_opus""",
    "media": """
        chan_websocket chan_bridge_media bridge_simple bridge_softmix bridge_holding codec_alaw codec_ulaw codec_a_mu
        codec_g722 codec_gsm codec_resample codec_opus_open_source format_pcm format_wav format_sln format_gsm
        res_musiconhold""",
    "dialplan": """
        pbx_config app_verbose app_playback app_amd func_callerid func_channel func_logic func_hangupcause
        func_talkdetect func_timeout func_pjsip_endpoint func_pjsip_aor func_pjsip_contact""",
    "mixmonitor and what it needs": """
        app_chanspy func_cut func_groupcount func_uri func_periodic_hook app_mixmonitor""",
    "records": "res_cdrel_custom cel_custom res_security_log",
}
TEST_NETWORK = ("app_echo", "app_senddtmf")
NEWER = frozenset({"res_websocket_client", "chan_websocket", "res_cdrel_custom", "codec_opus_open_source"})
"""Absent from some Asterisk 20 and from builds without opus; no call needs them (res_cdrel_custom: JSON CEL)."""


def modules(tree: EngineTree, *, test_network: bool) -> str:
    """modules.conf; InstallError when the machine's own Asterisk lacks a module that calls need."""
    names = [name for group in GROUPS.values() for name in group.split()]
    if test_network:
        names += TEST_NETWORK
    missing = [name for name in names if not tree.has_module(name)]
    if needed := [name for name in missing if name not in NEWER]:
        raise InstallError(
            f"Ao motor {tree.version} faltam os módulos {', '.join(needed)}: instale o Asterisk completo."
        )
    loads = "".join(f"load={name}.so\n" for name in names if name not in missing)
    return f"[modules]\nautoload=no\n{loads}"
