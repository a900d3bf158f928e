package client;

import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.client.oidc.web.logout.OidcClientInitiatedLogoutSuccessHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.web.SecurityFilterChain;

/** Both ways of signing out, as Spring's reference shows them ("OIDC Logout"). */
@Configuration
@Profile("signing-out")
public class SigningOut {
    @Bean
    SecurityFilterChain filterChain(HttpSecurity http, ClientRegistrationRepository registrations)
            throws Exception {
        var atProvider = new OidcClientInitiatedLogoutSuccessHandler(registrations);
        atProvider.setPostLogoutRedirectUri("{baseUrl}/");
        http.authorizeHttpRequests(
                        requests ->
                                requests.requestMatchers("/")
                                        .permitAll()
                                        .anyRequest()
                                        .authenticated())
                .oauth2Login(Customizer.withDefaults())
                .oidcLogout(logout -> logout.backChannel(Customizer.withDefaults()))
                .logout(logout -> logout.logoutSuccessHandler(atProvider));
        return http.build();
    }
}
